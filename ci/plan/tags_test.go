package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someCommit = "0123456789abcdef0123456789abcdef01234567"

func TestTagsSayWhatIsInAnImage(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]struct {
		version string
		tags    []string
	}{
		"refs/heads/main":        {"0123456789ab", []string{"sha-0123456789ab", "main"}},
		"refs/tags/v1.2.3":       {"1.2.3", []string{"1.2.3", "1.2", "1", "latest"}},
		"refs/tags/v10.20.30":    {"10.20.30", []string{"10.20.30", "10.20", "10", "latest"}},
		"refs/tags/v0.4.0":       {"0.4.0", []string{"0.4.0", "0.4", "latest"}},
		"refs/tags/v1.3.0-rc.1":  {"1.3.0-rc.1", []string{"1.3.0-rc.1"}},
		"refs/tags/v1.3.0-alpha": {"1.3.0-alpha", []string{"1.3.0-alpha"}},
	} {
		c := Commit{Ref: ref, Revision: someCommit}
		tags, err := c.Tags()
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		if diff := cmp.Diff(want.tags, tags); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", ref, diff)
		}
		if c.Version() != want.version {
			t.Errorf("%s: version %q, want %q", ref, c.Version(), want.version)
		}
	}
}

func TestWhatIsNotPublishedHasNoTags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Commit{
		"a branch":                        {"refs/heads/feature", someCommit},
		"a pull request":                  {"refs/pull/7/merge", someCommit},
		"a branch that looks like a tag":  {"refs/heads/v1.2.3", someCommit},
		"a tag that is no version":        {"refs/tags/nightly", someCommit},
		"a version without a v":           {"refs/tags/1.2.3", someCommit},
		"a version with leading zeros":    {"refs/tags/v01.2.3", someCommit},
		"a version of two numbers":        {"refs/tags/v1.2", someCommit},
		"build metadata":                  {"refs/tags/v1.2.3+linux", someCommit},
		"a tag that no registry takes":    {"refs/tags/v1.2.3-" + strings.Repeat("a", 130), someCommit},
		"a version behind a line break":   {"refs/tags/x\nv1.2.3", someCommit},
		"no revision":                     {"refs/heads/main", ""},
		"half a revision":                 {"refs/heads/main", "0123456"},
		"a revision in capitals":          {"refs/heads/main", strings.ToUpper(someCommit)},
		"no reference":                    {"", someCommit},
		"a short name instead of a whole": {"main", someCommit},
	} {
		if tags, err := c.Tags(); err == nil {
			t.Errorf("%s would be published as %q", name, tags)
		}
	}
}

func TestVersionWithoutARelease(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Commit{
		"dev":          {},
		"0123456789ab": {Ref: "refs/heads/v1.2.3", Revision: someCommit},
	} {
		if got := c.Version(); got != want {
			t.Errorf("%+v: version %q, want %q", c, got, want)
		}
	}
	if got := (Commit{}).RevisionLabel(); got != "unknown" {
		t.Errorf("without a commit the revision is %q, want what the Dockerfile says", got)
	}
}

func TestLabelsNameTheSources(t *testing.T) {
	t.Parallel()
	if got := Labels(""); got != nil {
		t.Errorf("without an address there are the labels %v", got)
	}
	want := []Label{
		{"org.opencontainers.image.source", "https://github.com/someone/bookshelf"},
		{"org.opencontainers.image.url", "https://github.com/someone/bookshelf"},
	}
	if diff := cmp.Diff(want, Labels("https://github.com/someone/bookshelf")); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
