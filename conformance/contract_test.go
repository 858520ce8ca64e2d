package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bookshelf/conformance/internal/images"
)

// edgeIdle is how long the edge keeps an idle connection to a service (docs/contract.md).
const edgeIdle = 30 * time.Second

// service is a running container of something that keeps the contract.
type service struct {
	name       string // of the container
	api, admin string // host:port
}

// serve starts the image on the database, whether it uses one or not, and publishes both of its ports on this host.
func (d database) serve(t *testing.T, image string, more ...string) service {
	t.Helper()
	s := service{name: uniqueName()}
	flags := append([]string{"--detach", "--name", s.name, "--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::9090"}, more...)
	docker(t, d.run("bookshelf_app_a", append(flags, image)...)...)
	cleanUp(t, "rm", "--force", "--volumes", s.name)
	s.api, s.admin = address(t, s.name, "8080/tcp"), address(t, s.name, "9090/tcp")
	return s
}

// metrics returns what the service tells about itself.
func (s service) metrics(t *testing.T) string {
	t.Helper()
	return get(t, "http://"+s.admin+"/metrics", http.StatusOK)
}

// get asks for a document that need not be JSON; the status must be want.
func get(t *testing.T, url string, want int) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("GET %s: %s (%v), want %d: %s", url, response.Status, err, want, text)
	}
	return string(text)
}

// TestTheContractIsKept asks the same of the product and of a service that shares nothing with it.
func TestTheContractIsKept(t *testing.T) {
	t.Parallel()
	base := imageUnderTest(t)
	d := startDatabase(t)
	for name, kept := range map[string]struct {
		image  string
		create string // the path that takes bodies
	}{
		"by the product":       {images.Product(t, base, "v7"), "/api/v1/books"},
		"by a foreign service": {images.Foreign(t, "v7"), "/items"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // safe to repeat
				docker(t, d.run("bookshelf_owner", "--rm", kept.image, "migrate")...)
			}
			s := d.serve(t, kept.image, "--env", "SHUTDOWN_GRACE=3s")
			waitHealthy(t, s.name)
			api{base: "http://" + s.api}.probes(t, "v7")
			s.everyAnswerCarriesTheVersion(t, "v7", kept.create)
			s.metricsAreThoseOfTheContract(t, "v7")
			s.idleConnectionsOutliveTheEdges(t)
			s.shutdownIsInOrder(t, "v7")
		})
	}
}

// answered is what these tests read of an answer.
type answered struct {
	status  int
	version string // from its header
}

// exchange sends bytes as they are and reads the answer to its end. The connection is left as it is.
func exchange(t *testing.T, conn net.Conn, raw string) answered {
	t.Helper()
	got, err := tryExchange(conn, raw)
	if err != nil {
		request, _, _ := strings.Cut(raw, "\r\n")
		t.Fatalf("%s: %v", request, err)
	}
	return got
}

func tryExchange(conn net.Conn, raw string) (answered, error) {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // only a failing test waits for so long
		return answered{}, err
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return answered{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return answered{response.StatusCode, response.Header.Get("X-Bookshelf-Version")}, err
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (s service) everyAnswerCarriesTheVersion(t *testing.T, version, create string) {
	t.Helper()
	post := "POST " + create + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for raw, want := range map[string][]int{
		"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n":              {404},
		"DELETE /readyz HTTP/1.1\r\nHost: x\r\n\r\n":            {405},
		"BREW /readyz HTTP/1.1\r\nHost: x\r\n\r\n":              {405},
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                 {204, 400}, // as the service likes
		post + "Content-Length: 1\r\n\r\n{":                     {400},
		post + "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n": {400},
		post + "Content-Length: 2000000\r\n\r\n":                {413},
	} {
		if got := exchange(t, dial(t, s.api), raw); got.version != version || !slices.Contains(want, got.status) {
			request, _, _ := strings.Cut(raw, "\r\n")
			t.Errorf("%s: %d from the version %q, want one of %d from %s", request, got.status, got.version, want, version)
		}
	}
}

// contractMetrics reads the table of metrics in docs/contract.md: names, each with its labels.
func contractMetrics(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "## Metrics a release is judged by\n")
	if !found {
		t.Fatal("docs/contract.md has no table of metrics")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	word := regexp.MustCompile("`([a-z_]+)`")
	all := map[string][]string{}
	var labels []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		if !strings.Contains(cells[2], "the same") {
			labels = nil
			for _, m := range word.FindAllStringSubmatch(cells[2], -1) {
				labels = append(labels, m[1])
			}
		}
		name := word.FindStringSubmatch(cells[1])[1]
		if strings.Contains(cells[1], "(histogram)") {
			name += "_bucket"
		}
		all[name] = labels
	}
	if len(all) != 3 {
		t.Fatalf("docs/contract.md names the metrics %v, want three", all)
	}
	return all
}

func (s service) metricsAreThoseOfTheContract(t *testing.T, version string) {
	t.Helper()
	text := s.metrics(t)
	for name, labels := range contractMetrics(t) {
		series := regexp.MustCompile(`(?m)^`+name+`\{(.*)\} [0-9.e+-]+$`).FindAllStringSubmatch(text, -1)
		if len(series) == 0 {
			t.Errorf("there is no %s", name)
		}
		for _, one := range series {
			for _, label := range labels {
				if !strings.Contains(","+one[1], ","+label+`="`) {
					t.Errorf("%s has no label %s", one[0], label)
				}
			}
			if !strings.Contains(one[1], `service_version="`+version+`"`) {
				t.Errorf("%s is not of version %s", one[0], version)
			}
			if strings.HasSuffix(name, "_bucket") && !strings.Contains(one[1], `le="`) {
				t.Errorf("%s has no bound", one[0])
			}
		}
	}
	for _, want := range []string{
		`http_route="/readyz",http_request_method="GET",http_response_status_code="200"`,
		`http_request_method="GET",http_response_status_code="404"`, // of what has no route
		`http_response_status_code="413"`,
	} {
		if !regexp.MustCompile(`(?m)^http_server_requests_total\{.*` + regexp.QuoteMeta(want)).MatchString(text) {
			t.Errorf("no request is counted under %s:\n%s", want, text)
		}
	}
}

// idleConnectionsOutliveTheEdges: whoever sends requests must be the side that closes, or one is lost now and then to a connection
// that has just been closed.
func (s service) idleConnectionsOutliveTheEdges(t *testing.T) {
	t.Helper()
	if testing.Short() {
		return
	}
	const raw = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	conn := dial(t, s.api)
	exchange(t, conn, raw)
	idle := time.NewTimer(edgeIdle + time.Second)
	defer idle.Stop()
	select {
	case <-idle.C:
	case <-t.Context().Done():
	}
	if got := exchange(t, conn, raw); got.status != http.StatusOK {
		t.Errorf("after %v the connection answers %d", edgeIdle, got.status)
	}
}

// shutdownIsInOrder: readiness goes off first, requests are still answered, and the end is clean.
func (s service) shutdownIsInOrder(t *testing.T, version string) {
	t.Helper()
	docker(t, "kill", "--signal", "TERM", s.name)
	eventually(t, "/readyz fails, under its version", func() string {
		got := exchange(t, dial(t, s.api), "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
		if want := (answered{http.StatusServiceUnavailable, version}); got != want {
			return fmt.Sprint(got)
		}
		return ""
	})
	get(t, "http://"+s.api+"/livez", http.StatusOK)
	if c := s.ends(t); c.State.ExitCode != 0 {
		t.Errorf("after SIGTERM it ended with %d, want 0:\n%s", c.State.ExitCode, docker(t, "logs", s.name))
	}
}

// What arrives too slowly, and what the service cannot answer for want of a database, is refused under its version too.
func TestTheProductsRefusalsCarryItsVersion(t *testing.T) {
	t.Parallel()
	image := images.Product(t, imageUnderTest(t), "v7")
	name := uniqueName()
	docker(t, append(append([]string{"run", "--detach", "--name", name, "--publish", "127.0.0.1::8080"}, hardening...),
		"--env", "DB_HOST=127.0.0.1", "--env", "DB_NAME=none", "--env", "DB_USER=nobody", "--env", "AUTH=off",
		"--env", "HTTP_REQUEST_TIMEOUT=300ms", image)...)
	cleanUp(t, "rm", "--force", "--volumes", name)
	s := service{name: name, api: address(t, name, "8080/tcp")}
	s.isUp(t)
	for raw, want := range map[string]int{
		"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n":                                                                 503,
		"GET /api/v1/books HTTP/1.1\r\nHost: x\r\n\r\n":                                                           503,
		"POST /api/v1/books HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{": 408,
	} {
		if got := exchange(t, dial(t, s.api), raw); got != (answered{want, "v7"}) {
			t.Errorf("%q: %d from the version %q, want %d from v7", raw, got.status, got.version, want)
		}
	}
}

// isUp waits until the service answers at all.
func (s service) isUp(t *testing.T) {
	t.Helper()
	eventually(t, s.name+" answers", func() string {
		conn, err := net.Dial("tcp", s.api)
		if err == nil {
			defer conn.Close()
			_, err = tryExchange(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
}
