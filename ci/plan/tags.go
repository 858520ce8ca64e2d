package plan

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Commit is what an image is built from.
type Commit struct {
	// Ref is a full git reference, refs/heads/main or refs/tags/v1.2.3, and "" on a laptop.
	Ref string
	// Revision is the full hash, and "" where nobody told.
	Revision string
}

// MainRef is the branch that is deployed.
const MainRef = "refs/heads/main"

var (
	revisionPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	// Semantic Versioning 2.0.0 without build metadata, which a tag of an image cannot hold.
	versionPattern = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)
)

// Validate reports a commit that cannot be one. An empty commit is valid: it is what nobody has told about.
func (c Commit) Validate() error {
	var problems []error
	if c.Revision != "" && !revisionPattern.MatchString(c.Revision) {
		problems = append(problems, fmt.Errorf("revision %q: want the 40 hexadecimal digits of a commit", c.Revision))
	}
	if c.Ref != "" && !strings.HasPrefix(c.Ref, "refs/") {
		problems = append(problems, fmt.Errorf("ref %q: want a full reference such as %s or refs/tags/v1.2.3", c.Ref, MainRef))
	}
	return errors.Join(problems...)
}

// Version is what the image says of itself: 1.2.3 for a release, else the first 12 digits of the commit as `make image`
// has it, or "dev".
func (c Commit) Version() string {
	if m := versionPattern.FindStringSubmatch(strings.TrimPrefix(c.Ref, "refs/tags/")); m != nil && strings.HasPrefix(c.Ref, "refs/tags/") {
		return m[0][1:]
	}
	if c.Revision != "" {
		return c.Revision[:12]
	}
	return "dev"
}

// RevisionLabel is the full commit, or "unknown" as in the Dockerfile.
func (c Commit) RevisionLabel() string {
	if c.Revision == "" {
		return "unknown"
	}
	return c.Revision
}

// Tags are the names under which an image of the commit is published, the most precise one first.
//
//	refs/heads/main        sha-0123456789ab, main
//	refs/tags/v1.2.3       1.2.3, 1.2, 1, latest
//	refs/tags/v0.4.0       0.4.0, 0.4, latest      (0.x promises nothing, so there is no tag "0")
//	refs/tags/v1.3.0-rc.1  1.3.0-rc.1              (a pre-release moves no other name)
//
// Everything else is an error: an image that was not merged has no business in a registry.
func (c Commit) Tags() ([]string, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Revision == "" {
		return nil, errors.New("an image is published from a commit: the revision is missing")
	}
	if c.Ref == MainRef {
		return []string{"sha-" + c.Revision[:12], "main"}, nil
	}
	tag, ok := strings.CutPrefix(c.Ref, "refs/tags/")
	if !ok {
		return nil, fmt.Errorf("ref %q is not published: only %s and version tags are", c.Ref, MainRef)
	}
	m := versionPattern.FindStringSubmatch(tag)
	if m == nil {
		return nil, fmt.Errorf("tag %q is not published: it is no version such as v1.2.3 or v1.2.3-rc.1", tag)
	}
	major, minor, patch, pre := m[1], m[2], m[3], m[4]
	exact := major + "." + minor + "." + patch + pre
	switch {
	case len(exact) > maxTag:
		return nil, fmt.Errorf("tag %q is too long: an image's tag has at most %d characters", tag, maxTag)
	case pre != "":
		return []string{exact}, nil
	case major == "0":
		return []string{exact, major + "." + minor, "latest"}, nil
	default:
		return []string{exact, major + "." + minor, major, "latest"}, nil
	}
}

// maxTag is the longest tag that registries take (OCI distribution specification 1.1).
const maxTag = 128

// Label is one label of an image.
type Label struct{ Name, Value string }

// Labels are those that the Dockerfile does not write itself, because only the pipeline knows them: where the sources are.
// An empty source gives none.
func Labels(source string) []Label {
	if source == "" {
		return nil
	}
	return []Label{
		{"org.opencontainers.image.source", source},
		{"org.opencontainers.image.url", source},
	}
}
