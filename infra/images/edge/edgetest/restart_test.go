package edgetest

import (
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"
)

func TestSIGTERMFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	res, err := http.Get("http://" + e.http + "/slow?ms=1500")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if code := e.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the edge ended with %d", code)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "begun ended" {
		t.Errorf("the answer in flight is %q, %v", body, err)
	}
}

func TestAKilledEdgeComesBackWithItsWeights(t *testing.T) {
	t.Parallel()
	blue, green := newReplica(t, "blue"), newReplica(t, "green")
	e := newEdge(t)
	e.start()
	before := e.set(ask("", slot("blue", 30, blue), slot("green", 70, green)))
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
		e.end(signal)
		began := time.Now()
		e.launch()
		e.eventually("a request is answered", func() error {
			a, err := fetch(http.DefaultClient, "http://"+e.http+"/")
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("status %d", a.status)
			}
			return err
		})
		t.Logf("after %v the first answer came within %v of the start", signal, time.Since(began).Round(time.Millisecond))
		e.eventually("the admin socket answers", func() error { _, err := e.command("", "healthcheck"); return err })
		after := e.state()
		if after.Generation != before.Generation || after.Slots["green"].Weight != 70 || after.Slots["blue"].Weight != 30 {
			t.Errorf("after %v: %+v", signal, after)
		}
	}
}
