package gates

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// library is the smallest repository in which a scan finds something to examine.
var library = map[string]string{"go.mod": "module example.org/library\n\ngo 1.26.0\n\nrequire example.org/shelf v1.0.0\n"}

func TestAVulnerablePackageTurnsTheScanRedWithTheFindingsName(t *testing.T) {
	t.Parallel()
	needScanner(t)
	c := newCheckout(t, library)
	database := publishDatabase(t, startRegistry(t), time.Now())
	c.want(t, 1, []string{seededID, seededPackage, "1.0-1 → " + fixedVersion, "a book falls off the shelf"},
		"scan", "--archive", imageArchive(t, "1.0-1"), "--database", database)
	for name, want := range map[string]string{
		"verdict.md": seededID, "image.json": seededID, "image.sarif": seededID, "image.txt": seededID, "repository.sarif": `"runs"`,
	} {
		content, err := os.ReadFile(filepath.Join(c.dir, "reports", "scan", name))
		must(t, err)
		if !strings.Contains(string(content), want) {
			t.Errorf("the report %s does not say %s", name, want)
		}
	}
}

func TestACleanImagePassesTheScan(t *testing.T) {
	t.Parallel()
	needScanner(t)
	c := newCheckout(t, library)
	database := publishDatabase(t, startRegistry(t), time.Now())
	c.want(t, 0, []string{"2 artifacts", "0 blocking"}, "scan", "--archive", imageArchive(t, fixedVersion), "--database", database)
}

func TestAnIgnoreExcusesAFindingUntilItExpires(t *testing.T) {
	t.Parallel()
	needScanner(t)
	c := newCheckout(t, library)
	database := publishDatabase(t, startRegistry(t), time.Now())
	scan := []string{"scan", "--archive", imageArchive(t, "1.0-1"), "--database", database}
	entry := func(expires time.Time) string {
		return "ignore:\n  - id: " + seededID + "\n    reason: the shelf is on the floor\n    expires: " + expires.Format(time.DateOnly) + "\n"
	}
	c.write(t, "ci/scanignore.yaml", entry(time.Now().AddDate(0, 1, 0)))
	c.want(t, 0, []string{"0 blocking, 1 excused"}, scan...)
	c.write(t, "ci/scanignore.yaml", entry(time.Now().AddDate(0, 0, -2)))
	c.want(t, 1, []string{seededID, "expired on"}, scan...)
}

func TestWithoutAFreshDatabaseThereIsNoPass(t *testing.T) {
	t.Parallel()
	needScanner(t)
	registry := startRegistry(t)
	clean := imageArchive(t, fixedVersion)

	t.Run("a missing one", func(t *testing.T) {
		t.Parallel()
		c := newCheckout(t, library)
		c.want(t, 1, []string{"fetch the vulnerability database, so nothing is known"},
			"scan", "--archive", clean, "--database", registry+"/nothing:2")
	})
	t.Run("a stale one", func(t *testing.T) {
		t.Parallel()
		c := newCheckout(t, library)
		database := publishDatabase(t, registry, time.Now().AddDate(0, 0, -9))
		c.want(t, 1, []string{"the vulnerability database is stale"}, "scan", "--archive", clean, "--database", database)
	})
	t.Run("a registry that does not answer", func(t *testing.T) {
		t.Parallel()
		c := newCheckout(t, library)
		c.want(t, 1, []string{"so nothing is known"}, "scan", "--archive", clean, "--database", "127.0.0.1:1/trivy-db:2")
	})
}

func TestASecretInTheRepositoryTurnsTheScanRedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	needGates(t)
	key := "AKIA" + strings.Repeat("Q3EGRI5Z", 2)
	c := newCheckout(t, map[string]string{"go.mod": library["go.mod"], "deploy.sh": "export AWS_ACCESS_KEY_ID=" + key + "\n"})
	database := publishDatabase(t, startRegistry(t), time.Now())
	args := []string{"scan", "--archive", imageArchive(t, fixedVersion), "--database", database}
	c.want(t, 1, []string{"aws-access-key-id", "deploy.sh", "remove the secret and revoke it"}, args...)
	if _, said := c.run(t, args...); strings.Contains(said, key) {
		t.Error("the verdict shows the secret")
	}
}

func TestAMisconfigurationTurnsTheScanRed(t *testing.T) {
	t.Parallel()
	needGates(t)
	c := newCheckout(t, map[string]string{"go.mod": library["go.mod"], "Dockerfile": "FROM debian:trixie-slim\nUSER root\nCMD [\"/bin/true\"]\n"})
	database := publishDatabase(t, startRegistry(t), time.Now())
	c.want(t, 1, []string{"HIGH DS-0002 in Dockerfile", "change the configuration"},
		"scan", "--archive", imageArchive(t, fixedVersion), "--database", database)
}

func TestThisRepositoryAndItsImagePassAgainstAnEmptyShelf(t *testing.T) {
	t.Parallel()
	needGates(t)
	image := os.Getenv("BOOKSHELF_IMAGE")
	if image == "" {
		t.Fatal("BOOKSHELF_IMAGE is not set: `make e2e-gates` sets it")
	}
	c := newCheckout(t, nil)
	c.dir = root(t)
	database := publishDatabase(t, startRegistry(t), time.Now())
	// Of vulnerabilities this says nothing, as the database knows only ours; of secrets and configuration it says everything.
	c.want(t, 0, []string{"2 artifacts", "0 blocking"}, "scan", "--image", image, "--database", database)
	c.want(t, 0, nil, "sbom", "--image", image)
	for name, want := range map[string]string{"image.cdx.json": `"bomFormat": "CycloneDX"`, "image.spdx.json": `"spdxVersion": "SPDX-`} {
		content, err := os.ReadFile(filepath.Join(c.dir, "reports", "sbom", name))
		must(t, err)
		if !strings.Contains(string(content), want) || !strings.Contains(string(content), "github.com/jackc/pgx/v5") {
			t.Errorf("%s does not say %s, or does not name pgx", name, want)
		}
	}
}
