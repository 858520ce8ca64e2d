package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// testReach tries to connect from where nobody should, each time beside an attempt that has to succeed by the same means: a test whose
// every attempt fails would prove nothing.
func (b *bench) testReach(t *testing.T) {
	elsewhere := b.container("elsewhere")
	b.docker("network", "create", "--internal", elsewhere)
	t.Cleanup(func() { _ = exec.Command("docker", "network", "rm", elsewhere).Run() })
	postgres, app := b.address("postgres", "backend"), b.address("app-blue-1", "frontend")
	inside := map[string]string{"database": "container:" + b.container("postgres"), "edge": "container:" + b.container("edge"), "app": "container:" + b.container("app-blue-1")}

	edge := b.address("edge", "frontend")
	var attempts sync.WaitGroup
	for _, place := range []struct {
		who, network     string
		refused, reached []string
	}{
		{"a container of another network of the engine", "bridge", []string{postgres + ":5432", app + ":8080", app + ":9090", edge + ":9090", "postgres:5432"}, nil},
		{"another environment", elsewhere, []string{postgres + ":5432", app + ":8080", app + ":9090", edge + ":9090", "postgres:5432"}, nil},
		{"the edge", inside["edge"], []string{postgres + ":5432", "postgres:5432"}, []string{"app-blue-1:8080"}},
		{"the app", inside["app"], nil, []string{"postgres:5432"}},
		{"the database", inside["database"], []string{edge + ":8080", app + ":8080"}, []string{"127.0.0.1:5432"}},
	} {
		attempts.Go(func() {
			connected, err := b.connects(place.network, append(place.refused, place.reached...)...)
			if err != nil {
				t.Error(err)
				return
			}
			for _, address := range place.refused {
				if connected[address] {
					t.Errorf("%s reaches %s", place.who, address)
				}
			}
			for _, address := range place.reached {
				if !connected[address] {
					t.Errorf("%s does not reach %s, so the other attempts prove nothing", place.who, address)
				}
			}
		})
	}
	attempts.Wait()
	t.Run("only the edge has a way to the internet", func(t *testing.T) {
		const internet = "1.1.1.1:443"
		if out, err := b.connects(inside["edge"], internet); err != nil || !out[internet] {
			t.Skipf("this machine has none: the edge does not reach %s, so that the others do not proves nothing", internet)
		}
		for _, who := range []string{"app", "database"} {
			if out, err := b.connects(inside[who], internet); err != nil || out[internet] {
				t.Errorf("the %s reaches %s (%v)", who, internet, err)
			}
		}
	})
	// What the machine itself listens on for the environment is the edge, on loopback.
	for _, port := range []string{"5432", "9090"} {
		for _, name := range []string{"postgres", "app-blue-1", "edge"} {
			if published := strings.TrimSpace(b.docker("port", b.container(name))); strings.Contains(published, port+"/tcp") {
				t.Errorf("%s publishes %s", name, published)
			}
		}
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", net.JoinHostPort(outwardAddress(t), port)); err == nil {
		conn.Close()
		t.Errorf("the edge is reached at %s, beyond loopback", outwardAddress(t))
	}
}

// connects reports to which addresses a TCP connection comes about from within a network, all tried at once.
func (b *bench) connects(network string, addresses ...string) (map[string]bool, error) {
	// Bash is its own client here: /dev/tcp.
	var script strings.Builder
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&script, "(timeout 2 bash -c '</dev/tcp/%s/%s' 2>/dev/null && echo %s) & ", host, port, address)
	}
	name := b.container("attempt-" + strings.ToLower(rand.Text()[:8]))
	command := exec.CommandContext(b.t.Context(), "docker", "run", "--rm", "--name", name, "--network", network, "--entrypoint", "bash",
		"postgres:17-trixie", "-c", script.String()+"wait")
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("try to connect from %s: %w", network, err)
	}
	connected := map[string]bool{}
	for address := range strings.FieldsSeq(string(out)) {
		connected[address] = true
	}
	return connected, nil
}

// address is a container's on one of the environment's networks.
func (b *bench) address(part, network string) string {
	b.t.Helper()
	return strings.TrimSpace(b.docker("inspect", "--format", fmt.Sprintf(`{{(index .NetworkSettings.Networks %q).IPAddress}}`, b.container(network)), b.container(part)))
}

// outwardAddress is the one of this machine that others know it by. No packet is sent.
func outwardAddress(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}
