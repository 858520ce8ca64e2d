package releases

import (
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
	promote := func() output {
		process, out, wait := r.process(t.Context(), "promote", "--from", staging.name, "--to", prod.name, "--rate", rate())
		r.must(process.Start())
		wait()
		return *out
	}

	if out := promote(); out.code != exitUsage || !strings.Contains(out.stderr, "has not stood a release there") {
		t.Errorf("nothing was released in staging: exit code %d: %s", out.code, out.stderr)
	}
	released, code := staging.release(v2)
	staging.wantReleased("staging: v2", released, code)
	out := promote()
	promoted := prod.reportOf(out)
	prod.wantReleased("promoted to prod: v2", promoted, out.code)
	if promoted.To.Image != released.To.Image {
		t.Errorf("staging has %s, prod got %s", released.To.Image, promoted.To.Image)
	}
}
