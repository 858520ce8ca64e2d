package gates

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/metadata"
	"github.com/aquasecurity/trivy-db/pkg/types"
	bolt "go.etcd.io/bbolt"
)

// The seeded vulnerability: every version of a package before the fixed one has it.
const (
	seededID      = "CVE-2026-99999"
	seededPackage = "shelfware"
	fixedVersion  = "2.0-1"
)

// file is a file in a tar archive.
type file struct{ name, content string }

func archive(t *testing.T, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// debian returns the one layer and the configuration of a Debian image in which the package is installed in a version.
func debian(t *testing.T, version string) (layer, config []byte) {
	t.Helper()
	layer = archive(t,
		file{"etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n"},
		file{"etc/debian_version", "13.1\n"},
		file{"var/lib/dpkg/status", "Package: " + seededPackage + "\nStatus: install ok installed\nMaintainer: nobody <nobody@example.org>\n" +
			"Architecture: amd64\nVersion: " + version + "\nDescription: put on shelves\n\n"},
	)
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config":  map[string]any{"User": "65532:65532", "Healthcheck": map[string]any{"Test": []string{"CMD", "/true"}}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
		"history": []map[string]any{{"created_by": "COPY . /"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return layer, config
}

// imageArchive writes that image as docker save would, and returns the file.
func imageArchive(t *testing.T, version string) string {
	t.Helper()
	layer, config := debian(t, version)
	manifest := `[{"Config": "config.json", "RepoTags": ["seeded:` + version + `"], "Layers": ["layer.tar"]}]`
	path := filepath.Join(t.TempDir(), "seeded.tar")
	content := archive(t, file{"manifest.json", manifest}, file{"config.json", string(config)}, file{"layer.tar", string(layer)})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writing is held while a database is written: trivy-db has one open database per process.
var writing sync.Mutex

// publishDatabase writes a vulnerability database that was made at a time and publishes it in a registry as Trivy's own is. It
// returns the name under which Trivy finds it.
func publishDatabase(t *testing.T, registry string, made time.Time) string {
	t.Helper()
	dir := t.TempDir()
	writeDatabase(t, dir, made)
	files := make([]file, 0, 2)
	for _, name := range []string{"trivy.db", "metadata.json"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{name, string(content)})
	}
	var layer bytes.Buffer
	w := gzip.NewWriter(&layer)
	if _, err := w.Write(archive(t, files...)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	repository := fmt.Sprintf("trivy-db-%d", made.Unix())
	push(t, registry, repository, "2", []byte("{}"), layer.Bytes(),
		"application/vnd.aquasec.trivy.config.v1+json", "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip")
	return registry + "/" + repository + ":2"
}

func writeDatabase(t *testing.T, dir string, made time.Time) {
	t.Helper()
	writing.Lock()
	defer writing.Unlock()
	must(t, db.Init(dir))
	config := db.Config{}
	must(t, config.BatchUpdate(func(tx *bolt.Tx) error {
		const release = "debian 13"
		must(t, config.PutDataSource(tx, release, types.DataSource{ID: "debian", Name: "seeded", URL: "https://example.org"}))
		must(t, config.PutAdvisoryDetail(tx, seededID, seededPackage, []string{release}, types.Advisory{FixedVersion: fixedVersion}))
		must(t, config.SaveAdvisoryDetails(tx, seededID))
		must(t, config.PutVulnerabilityID(tx, seededID))
		return config.PutVulnerability(tx, seededID, types.Vulnerability{
			Title:          "a book falls off the shelf",
			VendorSeverity: types.VendorSeverity{"debian": types.SeverityCritical},
		})
	}))
	must(t, db.Close())
	must(t, metadata.NewClient(dir).Update(metadata.Metadata{
		Version: db.SchemaVersion, UpdatedAt: made.UTC(), NextUpdate: made.UTC().Add(24 * time.Hour),
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
