package bookimport

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bookshelf/app/internal/postgres"
)

// Outcome is what became of a row that did not come in.
type Outcome string

// The outcomes.
const (
	OutcomeRejected  Outcome = "rejected"
	OutcomeDuplicate Outcome = "duplicate"
)

// Finding is a row that did not come in, and why.
type Finding struct {
	Line    int64   `json:"line"` // the physical line of the file that the row begins on, from 1
	Outcome Outcome `json:"outcome"`
	Reason  Reason  `json:"reason"`
	Detail  string  `json:"detail"`
}

// Report accounts for every row: Rows = Inserted + Updated + Unchanged + Duplicates + Rejected, unless the import ended
// with ErrDuplicates, when nothing came in.
type Report struct {
	Input      string              `json:"input"`
	Format     Format              `json:"format"`
	OnConflict postgres.OnConflict `json:"on_conflict"`
	DryRun     bool                `json:"dry_run"`
	Seconds    float64             `json:"seconds"`

	Rows       int64 `json:"rows"`       // records in the file, without the header and blank lines
	Accepted   int64 `json:"accepted"`   // Inserted + Updated + Unchanged
	Inserted   int64 `json:"inserted"`   // new books
	Updated    int64 `json:"updated"`    // stored books that were changed
	Unchanged  int64 `json:"unchanged"`  // stored books that had the row's values already
	Duplicates int64 `json:"duplicates"` // rows left out because their book is there
	Rejected   int64 `json:"rejected"`   // rows left out because they are not acceptable

	Reasons map[Reason]int64 `json:"reasons"` // why the rejected and the duplicates were left out
	Repairs map[Reason]int64 `json:"repairs"` // what was mended in rows; one can need several

	Findings        []Finding `json:"findings"`         // the first few rows that were left out, rejected ones first
	FindingsOmitted int64     `json:"findings_omitted"` // how many more there are
}

// recorder fills a report in while the import runs. The full list of findings is written as they come, so that it need not
// be held.
type recorder struct {
	Report
	maxFindings int64         // of each outcome in the report, so that a file of a million bad rows costs no memory
	all         *bufio.Writer // every finding; nil when nobody asked for them
}

func newReport(opts Options, format Format) *recorder {
	r := &recorder{maxFindings: opts.MaxFindings, Report: Report{
		Input: opts.Name, Format: format, OnConflict: opts.OnConflict, DryRun: opts.DryRun,
		Reasons: map[Reason]int64{}, Repairs: map[Reason]int64{}, Findings: []Finding{},
	}}
	if opts.Findings != nil {
		r.all = bufio.NewWriter(opts.Findings)
	}
	return r
}

// rejected notes a row that is not acceptable.
func (r *recorder) rejected(line int64, why rejection) error {
	r.Rejected++
	return r.add(Finding{Line: line, Outcome: OutcomeRejected, Reason: why.reason, Detail: why.detail}, r.Rejected)
}

// duplicate notes a row whose book is there, and where: the reader of the report has to compare the two.
func (r *recorder) duplicate(d postgres.Duplicate) error {
	f := Finding{Line: d.Line, Outcome: OutcomeDuplicate}
	what, stored, repeated := "title, authors and year are", ReasonStoredBook, ReasonRepeatedBook
	if d.ISBN13 != "" {
		what, stored, repeated = "ISBN "+d.ISBN13+" is", ReasonStoredISBN, ReasonRepeatedISBN
	}
	if d.FirstLine > 0 {
		f.Reason, f.Detail = repeated, fmt.Sprintf("%s the same as in line %d", what, d.FirstLine)
	} else {
		f.Reason, f.Detail = stored, fmt.Sprintf("%s the same as of book %d", what, d.BookID)
	}
	r.Duplicates++
	return r.add(f, r.Duplicates)
}

// add notes the nth finding of its outcome.
func (r *recorder) add(f Finding, n int64) error {
	r.Reasons[f.Reason]++
	if n <= r.maxFindings {
		r.Findings = append(r.Findings, f)
	} else {
		r.FindingsOmitted++
	}
	if r.all == nil {
		return nil
	}
	line, err := json.Marshal(f)
	if err == nil {
		_, err = r.all.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// repaired counts repairs only: a list of all the zeros that were put back would hide what needs attention.
func (r *recorder) repaired(repairs []Reason) {
	for _, repair := range repairs {
		r.Repairs[repair]++
	}
}

// merged takes over what the database counted. It is not called for an import that is given up, whose counts stay 0.
func (r *recorder) merged(m postgres.MergeResult) {
	r.Inserted, r.Updated, r.Unchanged = m.Inserted, m.Updated, m.Unchanged
	r.Accepted = m.Inserted + m.Updated + m.Unchanged
}

// flush must succeed before the import is committed: a promised list of findings must not be cut short silently.
func (r *recorder) flush() error {
	if r.all == nil {
		return nil
	}
	if err := r.all.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (r *recorder) result() Report { return r.Report }

// sentences explain the reasons to people.
var sentences = map[Reason]string{
	ReasonUnreadable:     "cannot be read as a row",
	ReasonColumns:        "more or fewer fields than the header",
	ReasonTitle:          "title is blank or not acceptable",
	ReasonAuthors:        "authors are missing or not acceptable",
	ReasonISBN:           "ISBN is wrong",
	ReasonISBNScientific: "ISBN lost digits as a rounded number",
	ReasonYear:           "year is not a year or out of range",
	ReasonLanguage:       "language is not a language tag",
	ReasonDescription:    "description is not acceptable",
	ReasonStoredISBN:     "ISBN is that of a stored book",
	ReasonStoredBook:     "title, authors and year are those of a stored book",
	ReasonRepeatedISBN:   "ISBN is that of an earlier row",
	ReasonRepeatedBook:   "title, authors and year are those of an earlier row",
	RepairISBNZeros:      "leading zeros put back into an ISBN-10",
	RepairISBN13Unusable: "ISBN-10 taken instead of an unusable ISBN-13",
	RepairISBNDropped:    "taken without its unusable ISBN",
	RepairAuthorRepeated: "author named twice, kept once",
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	verb := "imported"
	if r.DryRun {
		verb = "dry run, nothing changed; would have imported"
	}
	fmt.Fprintf(&b, "%s: %s %s of %s rows in %.1f s\n", r.Input, verb, thousands(r.Accepted), thousands(r.Rows), r.Seconds)
	for _, part := range []struct {
		name  string
		count int64
	}{
		{"new", r.Inserted}, {"updated", r.Updated}, {"unchanged", r.Unchanged},
		{"duplicate", r.Duplicates}, {"rejected", r.Rejected},
	} {
		fmt.Fprintf(&b, "  %-10s %10s\n", part.name, thousands(part.count))
	}
	writeCounts(&b, "left out", r.Reasons)
	writeCounts(&b, "repaired", r.Repairs)
	for i, f := range r.Findings {
		if i == 0 {
			b.WriteString("rows left out:\n")
		}
		fmt.Fprintf(&b, "  line %d: %s: %s\n", f.Line, f.Outcome, f.Detail)
	}
	if r.FindingsOmitted > 0 {
		fmt.Fprintf(&b, "  and %s more; --report FILE lists all\n", thousands(r.FindingsOmitted))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCounts lists what happened most first.
func writeCounts(b *strings.Builder, title string, counts map[Reason]int64) {
	if len(counts) == 0 {
		return
	}
	b.WriteString(title + ":\n")
	reasons := slices.SortedFunc(maps.Keys(counts), func(a, c Reason) int {
		return cmp.Or(cmp.Compare(counts[c], counts[a]), cmp.Compare(a, c))
	})
	for _, reason := range reasons {
		fmt.Fprintf(b, "  %10s  %s\n", thousands(counts[reason]), sentences[reason])
	}
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
