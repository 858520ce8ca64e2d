package environment

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheConfigurationPageListsEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `"+Namespace+":(\\w+)` \\| (?:`([^`]*)`|required|none) \\|").FindAllStringSubmatch(string(page), -1) {
		documented[row[1]] = row[2]
	}
	want := map[string]string{}
	for _, key := range Keys() {
		want[key] = Default(key)
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(Keys(), "image") {
		t.Error("the one key that must be set is missing")
	}
}
