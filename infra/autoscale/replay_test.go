package autoscale

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files with what the tests got")

// minute is a row of the recorded day.
type minute struct {
	at       time.Time
	inFlight Reading
}

// day reads testdata/day.csv: requests in flight, once a minute, with a morning's rise, noise of 9 %, a spike at 14:00 and no figures
// from 18:10 to 18:40. It is made up, so that what has to follow from it is known.
func day(t *testing.T) []minute {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "day.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var minutes []minute
	for _, row := range rows[1:] {
		at, err := time.Parse("15:04", row[0])
		if err != nil {
			t.Fatal(err)
		}
		m := minute{at: at}
		if row[1] != "" {
			v, err := strconv.ParseFloat(row[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			m.inFlight = Of(v)
		}
		minutes = append(minutes, m)
	}
	return minutes
}

// dayConfig has patience in proportion to a look per minute.
func dayConfig() Config {
	return Config{
		Min: 2, Max: 8, TargetInFlight: 6, Tolerance: DefaultTolerance, MaxStep: 2,
		UpAfter: 2 * time.Minute, DownAfter: 15 * time.Minute, CoolDown: 5 * time.Minute, Gap: 3 * time.Minute,
	}
}

// decided is a minute of the day with what was decided in it.
type decided struct {
	Observation
	Decision
}

// replay lets the decisions have their effect: a replica that was added is ready a minute later.
func replay(t *testing.T, c Config) []decided {
	t.Helper()
	var history []Observation
	var all []decided
	replicas, ready := 1, 1
	for _, m := range day(t) {
		o := Observation{At: m.at, Replicas: replicas, Ready: min(ready, replicas), InFlight: m.inFlight}
		history = c.Trim(append(history, o))
		d := Decide(history, c)
		all = append(all, decided{o, d})
		ready, replicas = replicas, d.Replicas
	}
	return all
}

func TestADayIsDecidedAsRecorded(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	var last Decision
	for _, d := range replay(t, dayConfig()) {
		if d.Change != 0 || d.News(last) {
			fmt.Fprintf(&got, "%s  %d → %d  %-9s  %s\n", d.At.Format("15:04"), d.Observation.Replicas, d.Decision.Replicas, d.Rule, d.Why)
		}
		last = d.Decision
	}
	golden := filepath.Join("testdata", "day.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("decided otherwise (-update rewrites %s):\n%s", golden, diff)
	}
}

// TestADayIsServedWithoutFlapping: the load rises once, falls once and has one spike, so that each of the numbers from 2 to 8 is passed
// at most twice each way; that would be 24 changes of one. Directions turn as often as the load does.
func TestADayIsServedWithoutFlapping(t *testing.T) {
	t.Parallel()
	changes, turns, direction := 0, 0, 1
	for _, d := range replay(t, dayConfig()) {
		if d.Change == 0 || d.Rule == Limit {
			continue
		}
		changes++
		if d.Change*direction < 0 {
			turns, direction = turns+1, -direction
		}
	}
	if changes > 24 || turns > 3 {
		t.Errorf("%d changes, and %d turns between more and fewer: want at most 24 and 3", changes, turns)
	}
	if changes < 6 {
		t.Errorf("%d changes: the day was not followed at all", changes)
	}
}

func TestADayStaysWithinBounds(t *testing.T) {
	t.Parallel()
	c := dayConfig()
	for _, d := range replay(t, c) {
		if d.Decision.Replicas < c.Min || d.Decision.Replicas > c.Max {
			t.Errorf("%s: %d replicas are out of %d to %d", d.At.Format("15:04"), d.Decision.Replicas, c.Min, c.Max)
		}
		if !d.InFlight.Known && d.Change != 0 {
			t.Errorf("%s: %+d without figures", d.At.Format("15:04"), d.Change)
		}
	}
}

// TestTooFewReplicasNeverStayForLong: while there are too few, there are more after UpAfter and one interval at the latest, as many as
// one step may be.
func TestTooFewReplicasNeverStayForLong(t *testing.T) {
	t.Parallel()
	c := dayConfig()
	var since time.Time
	seen := 0
	for _, d := range replay(t, c) {
		n := d.Observation.Replicas
		tooFew := d.InFlight.Known && d.InFlight.Value > float64(n)*c.TargetInFlight*(1+c.Tolerance) && n < c.Max
		switch {
		case !tooFew || d.Change > 0:
			since = time.Time{}
		case since.IsZero():
			since = d.At
			seen++
		}
		if !since.IsZero() && d.At.Sub(since) >= c.UpAfter+time.Minute {
			t.Errorf("%s: %d replicas have been too few since %s: %s", d.At.Format("15:04"), n, since.Format("15:04"), d.Why)
		}
	}
	if seen == 0 {
		t.Error("there never were too few: the day asks for nothing")
	}
}
