package drill

import (
	"bytes"
	_ "embed" // the page's template
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/moby/sys/atomicwriter"

	"bookshelf/infra/observability/textfile"
	"bookshelf/infra/release/report"
)

//go:embed page.html
var pageSource string

// page escapes whatever it is given by the place where it goes.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": report.Style, "seconds": seconds, "count": count,
	"moment": func(t time.Time) string { return t.UTC().Format("2 January 2006 15:04:05") },
}).Parse(pageSource))

// HTML writes the page of a drill, which needs nothing beside it.
func HTML(w io.Writer, r Report) error {
	if err := page.Execute(w, r); err != nil {
		return fmt.Errorf("page of drill %s: %w", r.ID, err)
	}
	return nil
}

// Took is how long the drill took in seconds.
func (r Report) Took() float64 { return r.Ended.Sub(r.Started).Seconds() }

// Rows is how many rows were found at the restore point.
func (r Report) Rows() int64 {
	var total int64
	for _, t := range r.Tables {
		total += t.Rows
	}
	return total
}

// AllSame reports whether every table is as it was backed up.
func (r Report) AllSame() bool {
	for _, t := range r.Tables {
		if !t.Same {
			return false
		}
	}
	return len(r.Tables) > 0
}

func seconds(s float64) string {
	if s < 60 {
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// count writes a number with its thousands apart: 16,500.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Text writes a drill in a few lines for a terminal.
func Text(w io.Writer, r Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	outcome := "passed"
	if !r.Passed {
		outcome = "failed"
	}
	fmt.Fprintf(table, "drill %s of %s: %s in %s\n", r.ID, r.Environment, outcome, seconds(r.Took()))
	if r.Problem != "" {
		fmt.Fprintf(table, "  why\t%s\n", r.Problem)
	}
	if r.Backup != nil {
		fmt.Fprintf(table, "  backup\t%s, %s old\n", r.Backup.Label, seconds(r.AgeSeconds))
	}
	if r.AllSame() {
		fmt.Fprintf(table, "  content\t%s rows in %d tables, all as they were backed up\n", count(r.Rows()), len(r.Tables))
	}
	if r.RTOSeconds > 0 {
		fmt.Fprintf(table, "  RTO\t%s until the service could serve again\n", seconds(r.RTOSeconds))
	}
	if r.RPOSeconds > 0 {
		fmt.Fprintf(table, "  RPO\t%s in which a change could still be lost\n", seconds(r.RPOSeconds))
	}
	return table.Flush()
}

// Save keeps a report in the folder of all drills, as data and as a page in a folder of its own. It returns the path of the page.
func Save(dir string, r Report) (string, error) {
	folder := filepath.Join(dir, r.ID)
	content, err := json.MarshalIndent(r, "", "  ")
	var html bytes.Buffer
	if err == nil {
		err = errors.Join(HTML(&html, r), os.MkdirAll(folder, 0o700))
	}
	if err == nil {
		err = errors.Join(
			atomicwriter.WriteFile(filepath.Join(folder, "report.json"), append(content, '\n'), 0o600),
			atomicwriter.WriteFile(filepath.Join(folder, "report.html"), html.Bytes(), 0o600),
		)
	}
	if err != nil {
		return "", fmt.Errorf("keep the report of the drill: %w", err)
	}
	return filepath.Join(folder, "report.html"), nil
}

// LastSuccess is when a drill of those that are kept in the folder ended well last; zero where none did.
func LastSuccess(dir string) (last time.Time, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "report.json"))
	if err != nil {
		return last, err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return last, fmt.Errorf("look at the drills: %w", err)
		}
		var r Report
		if err := json.Unmarshal(content, &r); err != nil {
			return last, fmt.Errorf("look at the drills: %s: %w", file, err)
		}
		if r.Passed && r.Ended.After(last) {
			last = r.Ended
		}
	}
	return last, nil
}

// Metrics are what Prometheus is to know of the drill. What was not measured is left out.
func (r Report) Metrics() []textfile.Sample {
	samples := []textfile.Sample{{Name: "drill_last_outcome"}, {Name: "drill_last_duration_seconds", Value: r.Took()}}
	if r.Passed {
		samples[0].Value = 1
	}
	if r.RTOSeconds > 0 {
		samples = append(samples, textfile.Sample{Name: "drill_last_rto_seconds", Value: r.RTOSeconds})
	}
	if r.RPOSeconds > 0 {
		samples = append(samples, textfile.Sample{Name: "drill_last_rpo_seconds", Value: r.RPOSeconds})
	}
	return samples
}
