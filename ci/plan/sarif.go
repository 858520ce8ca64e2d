package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// SARIF is one tool's report on one thing.
type SARIF struct {
	Category string // trivy/linux-amd64: what tells it apart from the tool's other reports
	Content  []byte
}

// MergeSARIF puts reports into one file, each run under its category (SARIF 2.1.0, section 3.14.3). GitHub takes one file at
// a time, and refuses one with two runs of a tool that it cannot tell apart.
func MergeSARIF(reports []SARIF) ([]byte, error) {
	var merged map[string]any
	var runs []any
	for _, report := range reports {
		decoder := json.NewDecoder(bytes.NewReader(report.Content))
		decoder.UseNumber() // positions come out as they went in
		var log map[string]any
		if err := decoder.Decode(&log); err != nil {
			return nil, fmt.Errorf("report %s: %w", report.Category, err)
		}
		if log["version"] != "2.1.0" {
			return nil, fmt.Errorf("report %s: version %v, want SARIF 2.1.0", report.Category, log["version"])
		}
		own, _ := log["runs"].([]any)
		if len(own) != 1 {
			return nil, fmt.Errorf("report %s: %d runs, want one", report.Category, len(own))
		}
		run, ok := own[0].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("report %s: its run is no object", report.Category)
		}
		run["automationDetails"] = map[string]any{"id": report.Category + "/"}
		runs = append(runs, run)
		if merged == nil {
			merged = log
		}
	}
	if merged == nil {
		return nil, errors.New("there is no report to merge")
	}
	merged["runs"] = runs
	content, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("write the merged report: %w", err)
	}
	return content, nil
}
