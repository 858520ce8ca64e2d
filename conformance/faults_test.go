package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bookshelf/conformance/internal/images"
)

// faulty are images of one version of the product that misbehaves, and what they run on.
type faulty struct {
	database

	base string
}

// Each of the images from which a release has to protect its users does what its name says, and nothing else: a release that rolls
// one back by mistake, because it did not even start, would prove nothing.
func TestFaultyImagesFailAsNamed(t *testing.T) {
	t.Parallel()
	f := faulty{base: imageUnderTest(t)}
	f.database = startDatabase(t)
	docker(t, f.run("bookshelf_owner", "--rm", f.base, "migrate")...)
	for fault, check := range map[string]func(faulty, *testing.T){
		"start": faulty.start, "unhealthy": faulty.unhealthy, "errors": faulty.errors, "slow": faulty.slow, "late": faulty.late,
		"leak": faulty.leak, "migration": faulty.migration, "crash": faulty.crash, "unknown": faulty.unknown,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			check(f, t)
		})
	}
}

func (f faulty) image(t *testing.T, fault string, settings ...string) string {
	t.Helper()
	return images.Faulty(t, f.base, "v7", fault, settings...)
}

// fails runs a container that must end with the code and say why.
func fails(t *testing.T, args []string, code int, why string) {
	t.Helper()
	out, err := tryDocker(t.Context(), args...)
	exit, ran := errors.AsType[*exec.ExitError](err)
	if !ran || exit.ExitCode() != code || !strings.Contains(out, why) {
		t.Errorf("docker %s: %v, want status %d and %q: %s", strings.Join(args, " "), err, code, why, out)
	}
}

// lists asks for the books n times and returns how often each status was the answer.
func (s service) lists(t *testing.T, n int) map[int]int {
	t.Helper()
	seen := map[int]int{}
	for range n {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.api+"/api/v1/books?limit=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("X-Bookshelf-Version"); got != "v7" {
			t.Errorf("%s comes from the version %q, want v7", response.Status, got)
		}
		seen[response.StatusCode]++
	}
	return seen
}

// counted makes sure that the service has counted as many lists with that status as clients have seen.
func (s service) counted(t *testing.T, status, want int) {
	t.Helper()
	series := fmt.Sprintf(`http_server_requests_total{http_route="/api/v1/books",http_request_method="GET",http_response_status_code="%d",service_version="v7"} %d`,
		status, want)
	if text := s.metrics(t); !strings.Contains(text, series+"\n") {
		t.Errorf("%q is missing in:\n%s", series, text)
	}
}

// ends waits until the container has ended, and returns how.
func (s service) ends(t *testing.T) container {
	t.Helper()
	eventually(t, s.name+" ends", func() string {
		if c := inspect(t, s.name); c.State.Status != "exited" {
			return c.State.Status
		}
		return ""
	})
	return inspect(t, s.name)
}

func (f faulty) start(t *testing.T) {
	t.Helper()
	image := f.image(t, "start")
	docker(t, f.run("bookshelf_owner", "--rm", image, "migrate")...) // works
	fails(t, f.run("bookshelf_app_a", "--rm", image), 1, "BOOKD_FAULT=start")
}

func (f faulty) unhealthy(t *testing.T) {
	t.Helper()
	s := f.serve(t, f.image(t, "unhealthy"))
	eventually(t, "its health check fails for good", func() string {
		if health := inspect(t, s.name).State.Health.Status; health != "unhealthy" {
			return health
		}
		return ""
	})
	get(t, "http://"+s.api+"/livez", http.StatusOK)
	get(t, "http://"+s.api+"/readyz", http.StatusServiceUnavailable)
}

func (f faulty) errors(t *testing.T) {
	t.Helper()
	s := f.serve(t, f.image(t, "errors"))
	waitHealthy(t, s.name)
	if seen := s.lists(t, 50); seen[200] != 40 || seen[500] != 10 {
		t.Errorf("50 lists were answered with %v, want 10 × 500", seen)
	}
	s.counted(t, 500, 10)
	s.counted(t, 200, 40)
	a := api{base: "http://" + s.api}
	for range 5 { // another route is as it was
		a.call(t, http.MethodGet, "/api/v1/books/4711", "", http.StatusNotFound)
	}
}

func (f faulty) slow(t *testing.T) {
	t.Helper()
	s := f.serve(t, f.image(t, "slow"))
	waitHealthy(t, s.name) // the probes are not slow
	const n, delay = 5, 300 * time.Millisecond
	began := time.Now()
	if seen := s.lists(t, n); seen[200] != n {
		t.Errorf("%d lists were answered with %v, want only 200", n, seen)
	}
	if took := time.Since(began); took < n*delay {
		t.Errorf("%d lists took %v, want %v each", n, took, delay)
	}
	s.counted(t, 200, n)
	quicker := `http_server_request_duration_seconds_bucket{http_route="/api/v1/books",http_request_method="GET",http_response_status_code="200",service_version="v7",le="0.25"} 0`
	if text := s.metrics(t); !strings.Contains(text, quicker+"\n") {
		t.Errorf("%q is missing in:\n%s", quicker, text)
	}
}

func (f faulty) late(t *testing.T) {
	t.Helper()
	const after = 15 * time.Second // the default
	began := time.Now()
	s := f.serve(t, f.image(t, "late"))
	waitHealthy(t, s.name)
	good := s.lists(t, 10)
	if good[200] != 10 && time.Since(began) < after {
		t.Errorf("before its time it answered with %v", good)
	}
	eventually(t, "it begins to fail", func() string {
		if s.lists(t, 1)[500] == 0 {
			return "good"
		}
		return ""
	})
	if took := time.Since(began); took < after {
		t.Errorf("it failed after %v, want %v", took, after)
	}
	if seen := s.lists(t, 20); seen[500] != 10 {
		t.Errorf("20 lists were answered with %v, want 10 × 500", seen)
	}
	get(t, "http://"+s.api+"/readyz", http.StatusOK) // only the requests of clients tell
}

func (f faulty) leak(t *testing.T) {
	t.Helper()
	s := f.serve(t, f.image(t, "leak", "BOOKD_FAULT_RATE=64"))
	if c := s.ends(t); !c.State.OOMKilled || c.State.ExitCode != 137 {
		t.Errorf("it ended with %d, for want of memory: %v; want to be killed for it", c.State.ExitCode, c.State.OOMKilled)
	}
}

func (f faulty) migration(t *testing.T) {
	t.Helper()
	image := f.image(t, "migration")
	fails(t, f.run("bookshelf_owner", "--rm", image, "migrate"), 1, "BOOKD_FAULT=migration")
	s := f.serve(t, image)
	waitHealthy(t, s.name)
	if seen := s.lists(t, 10); seen[200] != 10 {
		t.Errorf("10 lists were answered with %v, want only 200", seen)
	}
}

func (f faulty) crash(t *testing.T) {
	t.Helper()
	s := f.serve(t, f.image(t, "crash", "BOOKD_FAULT_AFTER=10s"))
	waitHealthy(t, s.name)
	if c := s.ends(t); c.State.ExitCode != 1 || c.State.OOMKilled {
		t.Errorf("it ended with %d, want 1:\n%s", c.State.ExitCode, docker(t, "logs", s.name))
	}
	if logs := docker(t, "logs", s.name); strings.Contains(logs, "shutdown begins") {
		t.Errorf("it shut down in order:\n%s", logs)
	}
}

func (f faulty) unknown(t *testing.T) {
	t.Helper()
	fails(t, f.run("bookshelf_app_a", "--rm", f.image(t, "fire")), 2, "BOOKD_FAULT: must be one of start, ")
}

func TestTheProductsImageCannotFailOnPurpose(t *testing.T) {
	t.Parallel()
	image := imageUnderTest(t)
	eachFile(t, image, func(name string, content io.Reader) {
		if name != "bookd" {
			return
		}
		binary, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		if len(binary) == 0 || bytes.Contains(binary, []byte("BOOKD_FAULT")) {
			t.Error("the product's binary knows of faults")
		}
	})
	if out := docker(t, "run", "--rm", "--env", "BOOKD_FAULT=fire", image, "version"); !strings.Contains(out, "bookd ") {
		t.Errorf("with a fault it says %q", out)
	}
}
