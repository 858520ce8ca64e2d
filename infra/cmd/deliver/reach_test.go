package main

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
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

	for what, network := range map[string]string{"a container of another network of the engine": "bridge", "another environment": elsewhere} {
		for target, address := range map[string]string{
			"the database": postgres + ":5432", "the app": app + ":8080", "the app's admin port": app + ":9090",
			"the edge's admin port": b.address("edge", "frontend") + ":9090", "the database by name": "postgres:5432",
		} {
			if b.connects(network, address) {
				t.Errorf("%s reaches %s at %s", what, target, address)
			}
		}
	}
	for _, refused := range []struct{ who, whom, address string }{
		{"edge", "the database", postgres + ":5432"},
		{"edge", "the database by name", "postgres:5432"},
		{"database", "the edge", b.address("edge", "frontend") + ":8080"},
	} {
		if b.connects(inside[refused.who], refused.address) {
			t.Errorf("the %s reaches %s at %s", refused.who, refused.whom, refused.address)
		}
	}
	for _, reached := range []struct{ who, address string }{
		{"edge", "app-blue-1:8080"}, {"app", "postgres:5432"}, {"database", "127.0.0.1:5432"},
	} {
		if !b.connects(inside[reached.who], reached.address) {
			t.Errorf("the %s does not reach %s, so the other attempts prove nothing", reached.who, reached.address)
		}
	}
	t.Run("only the edge has a way to the internet", func(t *testing.T) {
		const internet = "1.1.1.1:443"
		if !b.connects(inside["edge"], internet) {
			t.Skipf("this machine has none: the edge does not reach %s, so that the others do not proves nothing", internet)
		}
		for _, who := range []string{"app", "database"} {
			if b.connects(inside[who], internet) {
				t.Errorf("the %s reaches %s", who, internet)
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

// connects reports whether a TCP connection comes about from within a network.
func (b *bench) connects(network, address string) bool {
	b.t.Helper()
	host, port, err := net.SplitHostPort(address)
	b.must(err)
	// Bash is its own client here: /dev/tcp.
	script := fmt.Sprintf("timeout 3 bash -c '</dev/tcp/%s/%s' 2>/dev/null && echo connected || echo refused", host, port)
	out := b.docker("run", "--rm", "--network", network, "--entrypoint", "bash", "--name", b.container("attempt"), "postgres:17-trixie", "-c", script)
	return strings.HasPrefix(out, "connected")
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
