package probe

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Everything that can be set is in the documentation, and nothing else.
func TestTheDocumentationListsTheMembers(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/probe.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| member |")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
		if _, err := Parse(fmt.Sprintf(`{%q: null}`, row[1])); err == nil || strings.Contains(err.Error(), "not known") {
			t.Errorf("%s is documented but not known: %v", row[1], err)
		}
	}
	source, err := os.ReadFile("parse.go")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?s)func Parse\(.*?\n}`).Find(source)
	for _, taken := range regexp.MustCompile(`o\.(?:take\(|members\[)"([a-z0-9_]+)"`).FindAllStringSubmatch(string(function), -1) {
		if !slices.Contains(documented, taken[1]) {
			t.Errorf("%s is not documented", taken[1])
		}
	}
}
