package releases

import (
	"testing"

	"bookshelf/conformance/internal/images"
)

// foreignService is what the stack says of a service that this repository knows nothing of: all that delivery asks of it.
const foreignService = `  bookshelf:service:
    version_header: X-Bookshelf-Version
    smoke: [/version]
    probe:
      shares: {read: 1, write: 0, slow: 0}
      version_header: X-Bookshelf-Version
      read:
        - {path: /version, status: [200]}
        - {path: /items/1, status: [404]}`

// TestAForeignServiceIsReleasedByItsContractAlone releases a service that shares nothing with this repository but docs/contract.md.
func TestAForeignServiceIsReleasedByItsContractAlone(t *testing.T) {
	t.Parallel()
	if !full() {
		t.Skip("make e2e runs it")
	}
	v1, v2 := images.Foreign(t, "f1"), images.Foreign(t, "f2")
	e := newEnvironment(t, foreignService)
	e.up(v1)
	r, code := e.release(v2)
	e.wantReleased("foreign: f2", r, code)
}
