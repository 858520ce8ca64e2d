package edgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARefusedRequestExitsWith2SaysWhyInOneLineAndChangesNothing(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	for name, c := range map[string]struct{ request, want string }{
		"a weight":         {ask("", slot("blue", 101, blue)), "slots.blue.weight"},
		"an unknown field": {ask(`,"speed":1`, slot("blue", 100, blue)), `unknown field "speed"`},
		"no JSON":          {"blue please", "not the JSON"},
		"nothing":          {"", "not the JSON"},
		"another state":    {ask(`,"if_generation":7`, slot("blue", 100, blue)), "if_generation: the state is generation 1, not 7"},
	} {
		out, err := e.command(c.request, "slots", "set")
		if err == nil || !strings.HasPrefix(err.Error(), "exit status 2: edge: ") || !strings.Contains(err.Error(), c.want) ||
			strings.Count(strings.TrimSpace(err.Error()), "\n") != 0 || out != "" {
			t.Errorf("%s: it says %q, %v; want exit status 2 and one line with %q", name, out, err, c.want)
		}
	}
	if state := e.state(); state.Generation != 1 {
		t.Errorf("the state is %+v", state)
	}
}

func TestSlotsPrintsTheStateAsJSON(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	e.start()
	e.set(ask(`,"lease_seconds":600,"fallback":{"blue":100}`, slot("blue", 100, blue)))
	e.healthy()
	out, err := e.command("", "slots")
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Slots map[string]struct {
			Replicas []map[string]any
		}
		Lease    map[string]any
		Draining map[string]int
	}
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"address", "admin", "healthy", "since", "detail", "in_flight"} {
		if _, there := state.Slots["blue"].Replicas[0][field]; !there {
			t.Errorf("a replica has no %s: %s", field, out)
		}
	}
	if state.Draining == nil || state.Lease["expires"] == nil || !strings.Contains(out, `"generation":1`) {
		t.Errorf("it prints %s", out)
	}
}

func TestScrapeAsksEveryReplicaOfASlot(t *testing.T) {
	t.Parallel()
	one, two := newReplica(t, "one"), newReplica(t, "two")
	two.admin = freeAddress(t) // nobody there
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, one, two)))
	out, err := e.command("", "scrape", "blue")
	if err != nil {
		t.Fatal(err)
	}
	var got []struct{ Address, Body, Error string }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Address != one.address || got[0].Body != "up{name=\"one\"} 1\n" || got[0].Error != "" ||
		got[1].Address != two.address || got[1].Body != "" || got[1].Error == "" {
		t.Errorf("it prints %s", out)
	}
	if _, err := e.command("", "scrape", "red"); err == nil || !strings.Contains(err.Error(), `exit status 2: edge: there is no slot "red"`) {
		t.Errorf("a slot that is not there: %v", err)
	}
}

func TestAWrongCommandExitsWith2(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for _, args := range [][]string{{"serve"}, {"slots", "get"}, {"scrape"}, {"run", "fast"}} {
		if _, err := e.command("", args...); err == nil || !strings.HasPrefix(err.Error(), "exit status 2: edge: ") {
			t.Errorf("edge %v: %v", args, err)
		}
	}
	if out, err := e.command("", "version"); err != nil || !strings.HasPrefix(out, "edge with Caddy v2.") {
		t.Errorf("edge version prints %q, %v", out, err)
	}
	if out, err := e.command("", "help"); err != nil || !strings.Contains(out, "slots set") {
		t.Errorf("edge help prints %q, %v", out, err)
	}
}

func TestWithoutAnEdgeTheHealthCheckFails(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	if _, err := e.command("", "healthcheck"); err == nil || !strings.HasPrefix(err.Error(), "exit status 1: edge: ask the edge at ") {
		t.Errorf("the health check says %v", err)
	}
}

func TestBadVariablesAreAllToldBeforeAnythingListens(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "EDGE_TLS", "perhaps", "EDGE_RETRY_FOR", "5", "EDGE_HTTPS", "on")
	_, err := e.command("", "run")
	if err == nil || !strings.HasPrefix(err.Error(), "exit status 2: ") {
		t.Fatalf("it says %v", err)
	}
	for _, name := range []string{"edge: EDGE_TLS: ", "edge: EDGE_RETRY_FOR: ", "edge: EDGE_HTTPS: "} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("it does not name %s: %v", name, err)
		}
	}
}

func TestASecondEdgeOnTheSameSocketIsRefused(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.start()
	if _, err := e.command("", "run"); err == nil || !strings.Contains(err.Error(), "another edge serves on") {
		t.Errorf("it says %v", err)
	}
	if _, err := e.command("", "healthcheck"); err != nil {
		t.Errorf("the first edge was hurt: %v", err)
	}
}

func TestAPortThatIsTakenIsSaid(t *testing.T) {
	t.Parallel()
	taken := newReplica(t, "taken")
	e := newEdge(t, "EDGE_HTTP_ADDR", taken.address)
	if _, err := e.command("", "run"); err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.HasPrefix(err.Error(), "exit status 1") {
		t.Errorf("it says %v", err)
	}
}

func TestACorruptStateIsSaidAloudAndTheEdgeIsUp(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	if err := os.WriteFile(filepath.Join(e.dir, "slots.json"), []byte(`{"generation":3,"slots":{"bl`), 0o600); err != nil {
		t.Fatal(err)
	}
	e.start()
	if got := e.metric("edge_state_errors"); got != "1" {
		t.Errorf("the metric says %q", got)
	}
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	if a := get(t, "http://"+e.http+"/"); a.body != "blue 0" {
		t.Errorf("the answer is %q", a.body)
	}
	if !strings.Contains(e.log.String(), "THE STATE IS LOST") {
		t.Error("the log does not say it")
	}
}

func TestMetricsHaveOnePath(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.start()
	if a := get(t, "http://"+e.metrics+"/metrics"); a.status != http.StatusOK || !strings.Contains(a.body, "caddy_http") {
		t.Errorf("the metrics are %d with %d bytes", a.status, len(a.body))
	}
	if a := get(t, "http://"+e.metrics+"/"); a.status != http.StatusNotFound {
		t.Errorf("another path is %d", a.status)
	}
}

func TestTheAccessLogIsJSONOnTheStandardOutput(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t, "EDGE_ACCESS_LOG", "on")
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	get(t, "http://"+e.http+"/?which=one")
	e.eventually("the request is in the log", func() error {
		for line := range strings.Lines(e.output.String()) {
			var entry struct {
				Status  int
				Request struct{ URI string }
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Status == 200 && entry.Request.URI == "/?which=one" {
				return nil
			}
		}
		return fmt.Errorf("it is not in %s", e.output)
	})
}

func TestLoadAsksEverySlotPastTheWeights(t *testing.T) {
	t.Parallel()
	blue, green := newReplica(t, "blue"), newReplica(t, "green")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue), slot("green", 0, green)))
	out, err := e.command(`{"slots":["blue","green"],"rate":50,"seconds":0.4,"warm_up":5,"timeout_seconds":5,"requests":[{"method":"GET","path":"/","status":[200]}]}`, "load")
	if err != nil {
		t.Fatal(err)
	}
	var met map[string]struct {
		Requests, Failed, Lost int
		Microseconds           []int64
	}
	if err := json.Unmarshal([]byte(out), &met); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*replica{"blue": blue, "green": green} {
		if m := met[name]; m.Requests != 20 || m.Failed+m.Lost != 0 || len(m.Microseconds) != 15 || r.requests.Load() != 20 {
			t.Errorf("%s got %d requests, and it prints %s", name, r.requests.Load(), out)
		}
	}
	if _, err := e.command(`{"slots":["red"]}`, "load"); err == nil || !strings.HasPrefix(err.Error(), "exit status 2: edge: rate = 0") {
		t.Errorf("a wrong order: %v", err)
	}
}
