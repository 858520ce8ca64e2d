package bookd

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"bookshelf/app/internal/postgres/pgtest"
)

// check is what /readyz?verbose says of a dependency.
type check struct {
	Name      string   `json:"name"`
	Status    string   `json:"status"`
	Essential bool     `json:"essential"`
	Latency   float64  `json:"latency_seconds"`
	Age       *float64 `json:"age_seconds"`
	Detail    string   `json:"detail"`
}

// verbose asks the admin port and returns the status and the checks by name.
func (p *process) verbose(t *testing.T) (int, map[string]check) {
	t.Helper()
	status, _, body := call(t, "GET", p.admin+"/readyz?verbose", "")
	var report struct {
		Version string  `json:"version"`
		Checks  []check `json:"checks"`
	}
	if err := json.Unmarshal([]byte(body), &report); err != nil || report.Version != "dev" {
		t.Fatalf("%v: %s", err, body)
	}
	checks := map[string]check{}
	for _, c := range report.Checks {
		checks[c.Name] = c
	}
	return status, checks
}

func TestTheAdminPortTellsHowEachDependencyDoes(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t)
	status, checks := p.verbose(t)
	if status != 200 || len(checks) != 3 {
		t.Errorf("%d %v", status, checks)
	}
	for name, c := range checks {
		if c.Status != "ok" || !c.Essential || c.Age == nil || *c.Age != 0 || c.Latency < 0 || c.Detail != "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if status, _, body := call(t, "GET", p.admin+"/readyz", ""); status != 200 || body != "ready\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _, body := call(t, "GET", p.api+"/readyz?verbose", ""); strings.Contains(body, "latency") {
		t.Errorf("clients are told as well: %d %s", status, body)
	}
}

func TestTheDependencyThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   func(t *testing.T) *process
		failing string
		detail  string
	}{
		"there is no database": {func(t *testing.T) *process {
			t.Helper()
			return start(t, environ{"DB_HOST": "127.0.0.1", "DB_PORT": refusedPort(t), "DB_NAME": "n", "DB_USER": "u"})
		}, "database schema", "connect"},
		"the schema is too old": {func(t *testing.T) *process {
			t.Helper()
			return start(t, databaseEnviron(t, pgtest.Empty(t).App))
		}, "schema", "schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.start(t)
			status, checks := p.verbose(t)
			if status != 503 {
				t.Errorf("%d, want 503", status)
			}
			for name, found := range checks {
				if failing := strings.Contains(c.failing, name); failing != (found.Status == "failing") {
					t.Errorf("%s: %+v", name, found)
				} else if failing && (found.Age != nil || !strings.Contains(found.Detail, c.detail)) {
					t.Errorf("%s was never well: %+v", name, found)
				}
			}
		})
	}
}

func TestTracesThatAreLostAreToldAndNothingIsRefusedForThem(t *testing.T) {
	t.Parallel()
	refused := net.JoinHostPort("127.0.0.1", refusedPort(t))
	p := startOnDatabase(t, environ{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + refused, "OTEL_TRACES_SAMPLER": "always_on"})
	if _, checks := p.verbose(t); checks["traces"].Status != "ok" {
		t.Errorf("before anything was sent: %+v", checks["traces"])
	}
	call(t, "GET", p.api+"/api/v1/books", "")
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		status, checks := p.verbose(t)
		if status != 200 {
			t.Fatalf("%d: %v", status, checks)
		}
		if checks["traces"].Status == "failing" && !checks["traces"].Essential && checks["traces"].Age != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the traces are %+v", checks["traces"])
		}
		<-ticker.C
	}
}

func TestAProcessThatDrainsSaysSoOnItsAdminPort(t *testing.T) {
	t.Parallel()
	p := startOnDatabase(t, environ{"SHUTDOWN_GRACE": "1s"})
	p.stop()
	p.log.wait(t, "shutdown begins")
	if status, checks := p.verbose(t); status != 503 || checks["serving"].Status != "failing" || checks["database"].Status != "ok" {
		t.Errorf("%d %v", status, checks)
	}
}

func TestTheHealthcheckPrintsWhatTheAdminPortTells(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		process *process
		code    int
		want    string
	}{
		"all is well":          {startOnDatabase(t), 0, `"status": "ready"`},
		"there is no database": {start(t, environ{"DB_HOST": "127.0.0.1", "DB_PORT": refusedPort(t), "DB_NAME": "n", "DB_USER": "u"}), 1, `"status": "not ready"`},
	} {
		var out strings.Builder
		env := environ{"ADMIN_ADDR": strings.TrimPrefix(c.process.admin, "http://")}
		err := Run(t.Context(), []string{"healthcheck", "--verbose"}, env.lookup, nil, &out, &out)
		if ExitCode(err) != c.code || !strings.Contains(out.String(), c.want) || !strings.Contains(out.String(), `"name": "database"`) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
		if err != nil && err.Error() != "healthcheck: 503 Service Unavailable: not ready" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Run(t.Context(), []string{"healthcheck", "--verbos"}, environ{}.lookup, nil, &strings.Builder{}, &strings.Builder{}); ExitCode(err) != 2 {
		t.Errorf("a misspelled flag: %v", err)
	}
}
