package gates

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/conformance/internal/images"
)

// imageUnderTest is the product's.
func imageUnderTest(t *testing.T) string {
	t.Helper()
	needScanner(t)
	image := os.Getenv("BOOKSHELF_IMAGE")
	if image == "" {
		t.Fatal("BOOKSHELF_IMAGE is not set: `make test` and `make e2e-perf` set it")
	}
	tool(t, "load")
	return image
}

// compared runs the gate and returns how it ended, and what its report says.
func (c *checkout) compared(t *testing.T, args ...string) (code int, said, outcome string) {
	t.Helper()
	code, said = c.run(t, append([]string{"perf"}, args...)...)
	content, err := os.ReadFile(filepath.Join(c.dir, "reports", "perf", "perf.json"))
	if err != nil {
		t.Fatalf("there is no report (%v): %s", err, said)
	}
	var report struct{ Outcome string }
	must(t, json.Unmarshal(content, &report))
	return code, said, report.Outcome
}

func TestASlowerImageTurnsTheComparisonRed(t *testing.T) {
	t.Parallel()
	base := imageUnderTest(t)
	slow := images.Faulty(t, base, "v7", "slow")
	c := newCheckout(t, nil)
	code, said, outcome := c.compared(t, "--quick", "--image", slow, "--baseline", base)
	if code != 1 || outcome != "worse" || !strings.Contains(said, "slower than the last release") || !strings.Contains(said, "get throughput") {
		t.Errorf("the gate ended with %d, outcome %s: %s", code, outcome, said)
	}
}

// On a machine that is busy with other tests there may be no verdict; what there must not be is a false one.
func TestTheSameImageIsNotCalledSlower(t *testing.T) {
	t.Parallel()
	base := imageUnderTest(t)
	ways := [][]string{{"--quick"}}
	if os.Getenv("E2E") == "full" {
		ways = [][]string{{"--quick"}, {"--quick"}, {"--quick"}, {"--quick"}, {}}
	}
	c := newCheckout(t, nil)
	for _, way := range ways {
		code, said, outcome := c.compared(t, append(way, "--image", base, "--baseline", base)...)
		t.Logf("%v: %s\n%s", way, outcome, said)
		if outcome == "worse" || (outcome == "passed") != (code == 0) {
			t.Errorf("the gate ended with %d, outcome %s", code, outcome)
		}
	}
}

func TestAnImageThatDoesNotComeUpIsNoPass(t *testing.T) {
	t.Parallel()
	base := imageUnderTest(t)
	if os.Getenv("E2E") != "full" {
		t.Skip("make e2e-perf runs it: it waits a while")
	}
	broken := images.Faulty(t, base, "v7", "start")
	c := newCheckout(t, nil)
	c.want(t, 1, []string{"bring up " + broken, "the service does not come up"}, "perf", "--quick", "--image", broken, "--baseline", base)
	if _, err := os.Stat(filepath.Join(c.dir, "reports", "perf", "perf.json")); err == nil {
		t.Error("it has left a report")
	}
}
