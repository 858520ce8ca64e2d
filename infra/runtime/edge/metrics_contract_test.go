package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Verdicts read the service's metrics by name. The names are promised by every service, in this file.
func TestVerdictsReadMetricsThatAServicePromises(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "observability", "contracts", "service.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{requestsMetric, durationMetric} {
		_, promise, ok := strings.Cut(string(text), "{name: "+name+",")
		promise, _, _ = strings.Cut(promise, "- {name:")
		if !ok || !strings.Contains(promise, statusLabel+":") {
			t.Errorf("no service promises %s with %s", name, statusLabel)
		}
	}
}
