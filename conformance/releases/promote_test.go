package releases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/conformance/internal/images"
)

// TestWhatHasStoodItsBakeIsPromoted takes a version from one environment to another: that very image, and none that has not stood a
// release in the first.
func TestWhatHasStoodItsBakeIsPromoted(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e runs it: what may be promoted is a unit test")
	}
	base := product(t)
	v1, v2 := images.Product(t, base, "v1"), images.Product(t, base, "v2")
	r := newRepository(t)
	staging, prod := r.environment(), r.environment()
	staging.up(v1)
	prod.up(v1)
	promote := func(more ...string) output {
		args := append([]string{"promote", "--from", staging.name, "--to", prod.name, "--rate", rate()}, more...)
		process, out, wait := r.process(t.Context(), args...)
		r.must(process.Start())
		wait()
		return *out
	}

	if out := promote(); out.code != exitUsage || !strings.Contains(out.stderr, "has not stood a release there") {
		t.Errorf("nothing was released in staging: exit code %d: %s", out.code, out.stderr)
	}
	released, code := staging.release(v2)
	staging.wantReleased("staging: v2", released, code)
	// A report of other images, such as one that an earlier promotion has left, is none.
	other := filepath.Join(t.TempDir(), "perf.json")
	r.must(os.WriteFile(other, []byte(`{"outcome": "passed", "this": {"id": "`+v1+`"}, "last": {"id": "`+v1+`"}, "ratios": [{"median": 1}]}`), 0o600))
	for _, way := range [][]string{nil, {"--comparison", other}} {
		if out := promote(way...); out.code != exitUsage || !strings.Contains(out.stderr, "only after it was compared with the one that serves there") {
			t.Errorf("%v: exit code %d: %s", way, out.code, out.stderr)
		}
	}
	out := promote("--no-comparison", "both differ by their names alone")
	promoted := prod.reportOf(out)
	prod.wantReleased("promoted to prod: v2", promoted, out.code)
	if promoted.To.Image != released.To.Image {
		t.Errorf("staging has %s, prod got %s", released.To.Image, promoted.To.Image)
	}
	if !strings.Contains(promoted.Compared, "both differ by their names alone") {
		t.Errorf("the report does not keep why nothing was compared: %q", promoted.Compared)
	}
}
