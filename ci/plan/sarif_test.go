package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sarifOf(rule string) []byte {
	return []byte(`{"version": "2.1.0", "$schema": "s", "runs": [{"tool": {"driver": {"name": "Trivy"}}, "results": [{"ruleId": "` + rule + `", "rank": 9007199254740993}]}]}`)
}

func TestMergedReportsCanBeToldApart(t *testing.T) {
	t.Parallel()
	merged, err := MergeSARIF([]SARIF{{"trivy/linux-amd64", sarifOf("A")}, {"trivy/repository", sarifOf("B")}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version string
		Runs    []struct {
			AutomationDetails struct{ ID string }
			Results           []struct{ RuleID string }
		}
	}
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	var runs []string
	for _, run := range got.Runs {
		runs = append(runs, run.AutomationDetails.ID+" "+run.Results[0].RuleID)
	}
	if diff := cmp.Diff([]string{"trivy/linux-amd64/ A", "trivy/repository/ B"}, runs); diff != "" || got.Version != "2.1.0" {
		t.Errorf("runs of SARIF %s (-want +got):\n%s", got.Version, diff)
	}
	if !strings.Contains(string(merged), "9007199254740993") {
		t.Error("a number was rounded")
	}
}

func TestWhatIsNoReportIsNotMerged(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing":         "",
		"no JSON":         "oops",
		"another version": `{"version": "2.0.0", "runs": [{}]}`,
		"no run":          `{"version": "2.1.0", "runs": []}`,
		"two runs":        `{"version": "2.1.0", "runs": [{}, {}]}`,
		"a run of text":   `{"version": "2.1.0", "runs": ["x"]}`,
	} {
		if merged, err := MergeSARIF([]SARIF{{"x", []byte(content)}}); err == nil {
			t.Errorf("%s became %s", name, merged)
		}
	}
	if _, err := MergeSARIF(nil); err == nil {
		t.Error("no report was merged with no report")
	}
}
