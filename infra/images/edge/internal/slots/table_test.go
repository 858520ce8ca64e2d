package slots

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// always is a probe that finds every replica ready.
func always(context.Context, string) error { return nil }

// open returns a table in dir that is closed with the test.
func open(t *testing.T, dir string, ready func(context.Context, string) error) *Table {
	t.Helper()
	table := Open(Options{Dir: dir, Ready: ready, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(table.Close)
	return table
}

// set sends a request as text.
func set(table *Table, text string) error {
	req, err := ParseRequest(strings.NewReader(text))
	if err != nil {
		return err
	}
	return table.Set(req)
}

func mustSet(t *testing.T, table *Table, text string) {
	t.Helper()
	if err := set(table, text); err != nil {
		t.Fatal(err)
	}
}

// request asks for blue and green, with one replica each, and more fields.
func request(blue, green int, more string) string {
	return fmt.Sprintf(`{"slots":{"blue":{"weight":%d,"replicas":[{"address":"blue:1","admin":"blue:2"}]},
		"green":{"weight":%d,"replicas":[{"address":"green:1","admin":"green:2"}]}}%s}`, blue, green, more)
}

func weightsOf(table *Table) map[string]int {
	weights := map[string]int{}
	for name, s := range table.State().Slots {
		weights[name] = s.Weight
	}
	return weights
}

func TestALeaseThatNobodyRenewsFallsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := open(t, t.TempDir(), always)
		mustSet(t, table, request(95, 5, `,"lease_seconds":30,"fallback":{"blue":100}`))
		time.Sleep(29 * time.Second) //nolint:forbidigo // the bubble's clock
		mustSet(t, table, request(90, 10, `,"lease_seconds":30,"fallback":{"blue":100}`))
		time.Sleep(29 * time.Second) //nolint:forbidigo // the bubble's clock
		if got := weightsOf(table); got["green"] != 10 {
			t.Errorf("a renewed lease ended early: %v", got)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if diff := cmp.Diff(map[string]int{"blue": 100, "green": 0}, weightsOf(table)); diff != "" {
			t.Errorf("the weights after the lease (-want +got):\n%s", diff)
		}
		if state := table.State(); state.Lease != nil || state.Generation != 3 {
			t.Errorf("the state after the lease is %+v", state)
		}
	})
}

func TestWithoutALeaseTheWeightsStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := open(t, t.TempDir(), always)
		mustSet(t, table, request(95, 5, `,"lease_seconds":30,"fallback":{"blue":100}`))
		mustSet(t, table, request(0, 100, ""))
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if got := weightsOf(table); got["green"] != 100 {
			t.Errorf("the weights are %v", got)
		}
	})
}

func TestALeaseThatRanOutWhileTheEdgeWasDownFallsBackAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := Open(Options{Dir: dir, Ready: always, Log: slog.New(slog.DiscardHandler)})
		mustSet(t, first, request(95, 5, `,"lease_seconds":30,"fallback":{"blue":100}`))
		first.Close()
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
		second := open(t, dir, always)
		synctest.Wait()
		if got := weightsOf(second); got["green"] != 0 {
			t.Errorf("the weights are %v", got)
		}
	})
}

func TestTheStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir, always)
	mustSet(t, first, request(95, 5, `,"lease_seconds":3000,"fallback":{"blue":100}`))
	second := open(t, dir, always)
	a, b := first.State(), second.State()
	if a.Generation != b.Generation || cmp.Diff(a.Lease, b.Lease) != "" || cmp.Diff(weightsOf(first), weightsOf(second)) != "" {
		t.Errorf("before: %+v\nafter: %+v", a, b)
	}
}

func TestAStateThatCannotBeReadLeavesTheTableEmptyAndSaysSo(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"cut off":       `{"generation":12,"slots":{"bl`,
		"empty":         ``,
		"zeros":         "\x00\x00\x00\x00",
		"senseless":     `{"generation":12,"slots":{"blue":{"weight":40,"replicas":[]}}}`,
		"by a stranger": `{"generation":12,"slots":{},"colour":"blue"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "slots.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			table := open(t, dir, always)
			if state := table.State(); len(state.Slots) != 0 || state.StateErrors != 1 {
				t.Fatalf("the state is %+v", state)
			}
			mustSet(t, table, request(100, 0, ""))
			if got := weightsOf(open(t, dir, always)); got["blue"] != 100 {
				t.Errorf("after it was set again: %v", got)
			}
		})
	}
}

func TestAStateThatCannotBeKeptChangesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	table := open(t, dir, always)
	mustSet(t, table, request(100, 0, ""))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := set(table, request(0, 100, "")); err == nil {
		t.Fatal("a state that is on no disk was acknowledged")
	}
	if state := table.State(); state.Slots["blue"].Weight != 100 || state.Generation != 1 || state.StateErrors != 1 {
		t.Errorf("the state is %+v", state)
	}
}

func TestWhatAKilledSaveLeftIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(dir, ".slots-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, always)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestARequestForAnotherGenerationIsRefused(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), always)
	mustSet(t, table, request(100, 0, `,"if_generation":0`))
	err := set(table, request(0, 100, `,"if_generation":0`))
	if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.Is != 1 {
		t.Fatalf("the error is %v", err)
	}
	if got := weightsOf(table); got["blue"] != 100 {
		t.Errorf("the weights are %v", got)
	}
}

func TestOfConcurrentRequestsForOneGenerationOneWins(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), always)
	var all sync.WaitGroup
	won := make(chan int, 20)
	for i := range cap(won) {
		all.Go(func() {
			if set(table, request(i, 100-i, `,"if_generation":0`)) == nil {
				won <- i
			}
		})
	}
	all.Wait()
	close(won)
	winner := <-won
	if _, second := <-won; second {
		t.Fatal("more than one won")
	}
	if got := weightsOf(table); got["blue"] != winner {
		t.Errorf("%d won, and the weights are %v", winner, got)
	}
}

func TestAReplicaIsReadyAfterOneGoodAnswerAndUnreadyAfterTwoBadOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan error, 10)
		table := open(t, t.TempDir(), func(context.Context, string) error {
			select {
			case err := <-answers:
				return err
			default:
				return nil
			}
		})
		bad := errors.New("/readyz answered 503")
		answers <- bad
		mustSet(t, table, `{"slots":{"blue":{"weight":100,"replicas":[{"address":"blue:1","admin":"blue:2"}]}}}`)
		for i, want := range []bool{false, true, true, false, false, true} {
			synctest.Wait()
			if r := table.State().Slots["blue"].Replicas[0]; r.Healthy != want || (r.Detail == "") != want && i != 2 {
				t.Errorf("after answer %d: %+v, want healthy %v", i, r, want)
			}
			switch i {
			case 1, 2, 3:
				answers <- bad
			}
			time.Sleep(probeEvery) //nolint:forbidigo // the bubble's clock
		}
	})
}

func TestAnUnreachableReplicaGetsNothingUntilItIsReadyAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := open(t, t.TempDir(), always)
		mustSet(t, table, request(100, 0, `,"lease_seconds":3600,"fallback":{"green":100}`))
		synctest.Wait()
		passage := table.Begin()
		if got := passage.Choose(); got != "blue:1" {
			t.Fatalf("the first attempt goes to %q", got)
		}
		passage.Unreachable(errors.New("connection refused"))
		if got := passage.Choose(); got != "green:1" {
			t.Errorf("the second attempt goes to %q, not to the fallback", got)
		}
		passage.End(200)
		time.Sleep(probeEvery) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		again := table.Begin()
		defer again.End(200)
		if got := again.Choose(); got != "blue:1" {
			t.Errorf("after it was ready again, a request goes to %q", got)
		}
	})
}

func TestInFlightRequestsOutliveTheirReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := open(t, t.TempDir(), always)
		mustSet(t, table, request(0, 100, ""))
		synctest.Wait()
		passage := table.Begin()
		passage.Choose()
		if got := table.State().Slots["green"].InFlight; got != 1 {
			t.Errorf("%d are in flight, not 1", got)
		}
		mustSet(t, table, `{"slots":{"blue":{"weight":100,"replicas":[{"address":"blue:1","admin":"blue:2"}]}}}`)
		if diff := cmp.Diff(map[string]int64{"green": 1}, table.State().Draining); diff != "" {
			t.Errorf("draining (-want +got):\n%s", diff)
		}
		passage.End(500)
		if got := table.State().Draining; len(got) != 0 {
			t.Errorf("draining is %v", got)
		}
		want := map[string]int64{"none": 0, "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 1}
		if diff := cmp.Diff(want, table.Requests()["green"]); diff != "" {
			t.Errorf("what the slot did is forgotten (-want +got):\n%s", diff)
		}
	})
}

func TestAChangeKeepsTheHealthOfThoseWhoStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := open(t, t.TempDir(), always)
		mustSet(t, table, request(100, 0, ""))
		synctest.Wait()
		before := table.State().Slots["blue"].Replicas[0]
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
		mustSet(t, table, request(50, 50, ""))
		if diff := cmp.Diff(before, table.State().Slots["blue"].Replicas[0]); diff != "" {
			t.Errorf("the replica (-before +after):\n%s", diff)
		}
	})
}

// What is counted on a slot at weight 0 must only ever fall: a driver stops replicas when it has reached 0.
func TestAfterAChangeNoRequestIsCountedOnWhatWasRemoved(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), always)
	mustSet(t, table, request(50, 50, ""))
	for !table.State().Slots["green"].Replicas[0].Healthy || !table.State().Slots["blue"].Replicas[0].Healthy {
		runtime.Gosched()
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					passage := table.Begin()
					passage.Choose()
					passage.End(200)
				}
			}
		})
	}
	for range 25 {
		mustSet(t, table, request(100, 0, ""))
		for table.State().Slots["green"].InFlight > 0 {
			runtime.Gosched()
		}
		settled := table.State().Slots["green"].Requests
		for range 20 {
			if s := table.State().Slots["green"]; s.InFlight != 0 || s.Requests != settled {
				t.Fatalf("a request was sent to a slot at rest: %+v", s)
			}
		}
		mustSet(t, table, request(50, 50, ""))
	}
	close(stop)
	all.Wait()
}
