package gates

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vulnerabilityDatabase writes a database as govulncheck reads it (https://go.dev/doc/security/vuln/database#api), in which one
// function of the app's router is vulnerable before a version, and returns its address.
func vulnerabilityDatabase(t *testing.T, fixed string) string {
	t.Helper()
	dir := t.TempDir()
	type object map[string]any
	const id, module, at = "GO-2026-9999", "github.com/gorilla/mux", "2026-01-01T00:00:00Z"
	for name, content := range map[string]any{
		"index/db.json":      object{"modified": at},
		"index/modules.json": []object{{"path": module, "vulns": []object{{"id": id, "modified": at, "fixed": fixed}}}},
		"index/vulns.json":   []object{{"id": id, "modified": at}},
		"ID/" + id + ".json": object{
			"schema_version": "1.3.1", "id": id, "modified": at, "published": at, "summary": "a router loses its way",
			"database_specific": object{"url": "https://pkg.go.dev/vuln/" + id, "review_status": "REVIEWED"},
			"affected": []object{{
				"package":            object{"name": module, "ecosystem": "Go"},
				"ranges":             []object{{"type": "SEMVER", "events": []object{{"introduced": "0"}, {"fixed": fixed}}}},
				"ecosystem_specific": object{"imports": []object{{"path": module, "symbols": []string{"NewRouter"}}}},
			}},
		},
	} {
		encoded, err := json.Marshal(content)
		must(t, err)
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, encoded, 0o600))
	}
	return "file://" + dir
}

//nolint:paralleltest // the steps write their reports into one place
func TestCallsOfVulnerableCodeAreRedAndNothingElseIs(t *testing.T) {
	needGates(t)
	c := newCheckout(t, nil)
	c.dir = root(t)
	vuln := func(database string) []string { return []string{"vuln", "--database", database, "app"} }
	c.want(t, 1, []string{"app calls code with known vulnerabilities", "GO-2026-9999", "a router loses its way", "calls mux.NewRouter"},
		vuln(vulnerabilityDatabase(t, "1.9.0"))...)
	c.want(t, 0, []string{"app    calls no code with known vulnerabilities"}, vuln(vulnerabilityDatabase(t, "1.0.0"))...)
	// Nobody listens on port 1, as on a host that cannot reach the database.
	c.want(t, 1, []string{"so nothing is known of it"}, vuln("http://127.0.0.1:1")...)
}
