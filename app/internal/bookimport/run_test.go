package bookimport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

func silent(bookimport.Progress) {}

// importCSV runs an import that must succeed.
func importCSV(t *testing.T, s *postgres.Store, opts bookimport.Options, content string) bookimport.Report {
	t.Helper()
	report, err := bookimport.Run(t.Context(), opts, strings.NewReader(content), s, silent)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, report)
	return report
}

// checkSums holds the report to what its documentation says about the counts.
func checkSums(t *testing.T, r bookimport.Report) {
	t.Helper()
	if sum := r.Inserted + r.Updated + r.Unchanged + r.Duplicates + r.Rejected; sum != r.Rows {
		t.Errorf("the outcomes sum up to %d, there are %d rows", sum, r.Rows)
	}
	if r.Accepted != r.Inserted+r.Updated+r.Unchanged {
		t.Errorf("accepted %d, want %d + %d + %d", r.Accepted, r.Inserted, r.Updated, r.Unchanged)
	}
	var reasons int64
	for _, n := range r.Reasons {
		reasons += n
	}
	if left := r.Duplicates + r.Rejected; reasons != left || int64(len(r.Findings))+r.FindingsOmitted != left {
		t.Errorf("%d rows were left out; %d have a reason, %d are listed or counted", left, reasons, int64(len(r.Findings))+r.FindingsOmitted)
	}
}

// stored lists all books in the order of their insertion.
func stored(t *testing.T, s *postgres.Store) []book.Book {
	t.Helper()
	var all []book.Book
	q := book.Query{Limit: book.MaxPageLimit}
	for {
		books, next, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, books...)
		if next == nil {
			return all
		}
		q.After = next
	}
}

func titles(books []book.Book) []string {
	var titles []string
	for _, b := range books {
		titles = append(titles, b.Title)
	}
	return titles
}

const shelf = `title,authors,isbn,year,language
The Raven,Edgar Allan Poe,,1845.0,eng
"Emma
",Jane Austen,0-14-143958-0,1815,en
,Nobody,,,
The Raven,Edgar Allan Poe,,1845,
Emma again,Jane Austen,9780141439587,,
The Raven,Edgar Allan Poe,,1846,
Iliad,Homer; ; Homer,140275363,-750,grc
`

var ignoreServer = cmpopts.IgnoreFields(book.Book{}, "ID", "CreatedAt", "UpdatedAt")

func TestAnImportAccountsForEveryRow(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	var all bytes.Buffer
	report := importCSV(t, s, bookimport.Options{Name: "shelf.csv", Findings: &all}, shelf)

	want := bookimport.Report{
		Input: "shelf.csv", Format: bookimport.CSV, OnConflict: postgres.Skip,
		Rows: 7, Accepted: 4, Inserted: 4, Duplicates: 2, Rejected: 1,
		Reasons: map[bookimport.Reason]int64{
			bookimport.ReasonTitle: 1, bookimport.ReasonRepeatedBook: 1, bookimport.ReasonRepeatedISBN: 1,
		},
		Repairs: map[bookimport.Reason]int64{bookimport.RepairISBNZeros: 1, bookimport.RepairAuthorRepeated: 1},
		Findings: []bookimport.Finding{
			{Line: 5, Outcome: bookimport.OutcomeRejected, Reason: bookimport.ReasonTitle, Detail: "title: must not be blank"},
			{
				Line: 6, Outcome: bookimport.OutcomeDuplicate, Reason: bookimport.ReasonRepeatedBook,
				Detail: "title, authors and year are the same as in line 2",
			},
			{
				Line: 7, Outcome: bookimport.OutcomeDuplicate, Reason: bookimport.ReasonRepeatedISBN,
				Detail: "ISBN 9780141439587 is the same as in line 3",
			},
		},
	}
	if diff := cmp.Diff(want, report, cmpopts.IgnoreFields(bookimport.Report{}, "Seconds")); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	wantBooks := []book.Book{
		{Title: "The Raven", Authors: []string{"Edgar Allan Poe"}, PublishedYear: new(1845), Language: "en", Version: 1},
		{Title: "Emma", Authors: []string{"Jane Austen"}, ISBN13: "9780141439587", PublishedYear: new(1815), Language: "en", Version: 1},
		{Title: "The Raven", Authors: []string{"Edgar Allan Poe"}, PublishedYear: new(1846), Version: 1},
		{Title: "Iliad", Authors: []string{"Homer"}, ISBN13: "9780140275360", PublishedYear: new(-750), Language: "grc", Version: 1},
	}
	if diff := cmp.Diff(wantBooks, stored(t, s), ignoreServer); diff != "" {
		t.Errorf("books (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Findings, decodeFindings(t, &all)); diff != "" {
		t.Errorf("the list of all findings (-want +got):\n%s", diff)
	}
}

func decodeFindings(t *testing.T, in io.Reader) []bookimport.Finding {
	t.Helper()
	var findings []bookimport.Finding
	for decoder := json.NewDecoder(in); ; {
		var f bookimport.Finding
		err := decoder.Decode(&f)
		if errors.Is(err, io.EOF) {
			return findings
		}
		if err != nil {
			t.Fatal(err)
		}
		findings = append(findings, f)
	}
}

func TestImportingTwiceAddsNothing(t *testing.T) {
	t.Parallel()
	for _, onConflict := range []postgres.OnConflict{postgres.Skip, postgres.Update} {
		t.Run(string(onConflict), func(t *testing.T) {
			t.Parallel()
			s := pgtest.New(t).Store(t)
			importCSV(t, s, bookimport.Options{}, shelf)
			before := stored(t, s)
			report := importCSV(t, s, bookimport.Options{OnConflict: onConflict}, shelf)
			if report.Inserted != 0 || report.Updated != 0 {
				t.Errorf("the second import inserted %d and updated %d books", report.Inserted, report.Updated)
			}
			if diff := cmp.Diff(before, stored(t, s)); diff != "" {
				t.Errorf("books (-first +second import):\n%s", diff)
			}
		})
	}
}

func TestStoredBooksAreSkippedUpdatedOrEndTheImport(t *testing.T) {
	t.Parallel()
	const first = "title,authors,isbn,year,language,description\n" +
		"Emma,Jane Austen,9780141439587,1815,en,A novel\n" +
		"The Raven,Edgar Allan Poe,,1845,,\n"
	const second = "title,authors,isbn,year,language,description\n" +
		"Emma: A Novel,Jane Austen,9780141439587,,en-GB,\n" +
		"The Raven,Edgar Allan Poe,,1845,en,A poem\n" +
		"Iliad,Homer,,,,\n"
	emma := book.Book{
		Title: "Emma", Authors: []string{"Jane Austen"}, ISBN13: "9780141439587", PublishedYear: new(1815),
		Language: "en", Description: "A novel", Version: 1,
	}
	raven := book.Book{Title: "The Raven", Authors: []string{"Edgar Allan Poe"}, PublishedYear: new(1845), Version: 1}
	iliad := book.Book{Title: "Iliad", Authors: []string{"Homer"}, Version: 1}
	newEmma, newRaven := emma, raven
	newEmma.Title, newEmma.Language, newEmma.Version = "Emma: A Novel", "en-GB", 2 // an empty field keeps what is stored
	newRaven.Language, newRaven.Description, newRaven.Version = "en", "A poem", 2

	for onConflict, test := range map[postgres.OnConflict]struct {
		err                           error
		inserted, updated, duplicates int64
		books                         []book.Book
	}{
		postgres.Skip:   {nil, 1, 0, 2, []book.Book{emma, raven, iliad}},
		postgres.Update: {nil, 1, 2, 0, []book.Book{newEmma, newRaven, iliad}},
		postgres.Fail:   {bookimport.ErrDuplicates, 0, 0, 2, []book.Book{emma, raven}},
	} {
		t.Run(string(onConflict), func(t *testing.T) {
			t.Parallel()
			s := pgtest.New(t).Store(t)
			importCSV(t, s, bookimport.Options{}, first)
			report, err := bookimport.Run(t.Context(), bookimport.Options{OnConflict: onConflict}, strings.NewReader(second), s, silent)
			if !errors.Is(err, test.err) {
				t.Fatalf("import: %v, want %v", err, test.err)
			}
			if report.Inserted != test.inserted || report.Updated != test.updated || report.Duplicates != test.duplicates {
				t.Errorf("inserted %d, updated %d, duplicates %d; want %d, %d, %d",
					report.Inserted, report.Updated, report.Duplicates, test.inserted, test.updated, test.duplicates)
			}
			if test.duplicates > 0 && (report.Reasons[bookimport.ReasonStoredISBN] != 1 || report.Reasons[bookimport.ReasonStoredBook] != 1) {
				t.Errorf("reasons %v, want one of each kind", report.Reasons)
			}
			if diff := cmp.Diff(test.books, stored(t, s), ignoreServer); diff != "" {
				t.Errorf("books (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADryRunReportsTheSameAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	dry := importCSV(t, s, bookimport.Options{DryRun: true}, shelf)
	if left := stored(t, s); len(left) > 0 {
		t.Errorf("the dry run left %q", titles(left))
	}
	wet := importCSV(t, s, bookimport.Options{}, shelf)
	if diff := cmp.Diff(wet, dry, cmpopts.IgnoreFields(bookimport.Report{}, "Seconds", "DryRun")); diff != "" {
		t.Errorf("reports (-import +dry run):\n%s", diff)
	}
}

// rowsThen yields a header and n rows, calls then, and yields one row more.
func rowsThen(n int, then func()) io.Reader {
	var rows strings.Builder
	rows.WriteString("title,authors\n")
	for i := range n {
		fmt.Fprintf(&rows, "Volume %d,A\n", i)
	}
	return io.MultiReader(strings.NewReader(rows.String()), &onRead{then}, strings.NewReader("The end,A\n"))
}

// onRead is an empty reader that calls do when it is read.
type onRead struct{ do func() }

func (r *onRead) Read([]byte) (int, error) {
	r.do()
	return 0, io.EOF
}

func TestAnImportThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("the pipe broke")
	for name, test := range map[string]struct {
		interrupt func(t *testing.T, d *pgtest.Database, cancel func()) io.Reader
	}{
		"by cancelling it": {func(_ *testing.T, _ *pgtest.Database, cancel func()) io.Reader {
			return rowsThen(5000, cancel)
		}},
		"by the server ending the connection": {func(t *testing.T, d *pgtest.Database, _ func()) io.Reader {
			t.Helper()
			return rowsThen(5000, func() {
				_, err := d.Conn(t, d.Superuser).Exec(t.Context(),
					"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
				if err != nil {
					t.Error(err)
				}
			})
		}},
		"by an error of the input": {func(*testing.T, *pgtest.Database, func()) io.Reader {
			return io.MultiReader(rowsThen(5000, func() {}), &failing{broken})
		}},
		"by a quote that never closes": {func(*testing.T, *pgtest.Database, func()) io.Reader {
			return io.MultiReader(rowsThen(5000, func() {}), strings.NewReader("\"open,A\n"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := pgtest.New(t)
			s := d.Store(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := bookimport.Run(ctx, bookimport.Options{Name: "a.csv"}, test.interrupt(t, d, cancel), s, silent)
			if err == nil {
				t.Error("the import succeeded")
			}
			if left := stored(t, s); len(left) > 0 {
				t.Errorf("%d books are left", len(left))
			}
			importCSV(t, s, bookimport.Options{}, shelf) // the pool is as good as before
		})
	}
}

type failing struct{ err error }

func (r *failing) Read([]byte) (int, error) { return 0, r.err }

func TestNothingIsSeenBeforeTheEnd(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	report, err := bookimport.Run(t.Context(), bookimport.Options{}, rowsThen(2500, func() {
		if seen := stored(t, s); len(seen) > 0 {
			t.Errorf("%d books are seen while the import runs", len(seen))
		}
	}), s, silent)
	if err != nil || report.Inserted != 2501 {
		t.Errorf("inserted %d, %v; want 2501", report.Inserted, err)
	}
	if n := len(stored(t, s)); n != 2501 {
		t.Errorf("%d books after the import, want 2501", n)
	}
}

func TestABookThatAClientAddsMeanwhileIsADuplicate(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	s := d.Store(t)
	// A client's transaction has added the book and not yet committed when the merge looks for it: the insertion has to
	// wait and then find it.
	client, err := d.Conn(t, d.App).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Rollback(t.Context())
	if _, err := client.Exec(t.Context(),
		"INSERT INTO books (title, authors, isbn13) VALUES ('Emma', '{Jane Austen}', '9780141439587')"); err != nil {
		t.Fatal(err)
	}
	type result struct {
		report bookimport.Report
		err    error
	}
	done := make(chan result, 1)
	go func() {
		report, err := bookimport.Run(t.Context(), bookimport.Options{}, strings.NewReader(shelf), s, silent)
		done <- result{report, err}
	}()
	watch := d.Conn(t, d.Superuser)
	for waiting := false; !waiting; {
		err := watch.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO books%')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-done:
			t.Fatalf("the import did not wait for the client: %+v", r)
		default:
		}
	}
	if err := client.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	checkSums(t, r.report)
	if r.report.Reasons[bookimport.ReasonStoredISBN] != 1 || r.report.Inserted != 3 {
		t.Errorf("report %+v, want one stored ISBN and three new books", r.report)
	}
}

func TestTwoImportsAtOnceAddEachBookOnce(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	results := make(chan error, 3)
	for range cap(results) {
		go func() {
			_, err := bookimport.Run(t.Context(), bookimport.Options{}, strings.NewReader(shelf), s, silent)
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	want := []string{"The Raven", "Emma", "The Raven", "Iliad"}
	if diff := cmp.Diff(want, titles(stored(t, s))); diff != "" {
		t.Errorf("titles (-want +got):\n%s", diff)
	}
}

func TestAReportThatCannotBeWrittenUndoesTheImport(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	full := errors.New("no space left")
	_, err := bookimport.Run(t.Context(), bookimport.Options{Findings: failingWriter{full}}, strings.NewReader(shelf), s, silent)
	if !errors.Is(err, full) {
		t.Errorf("import: %v, want %v", err, full)
	}
	if left := stored(t, s); len(left) > 0 {
		t.Errorf("%d books are left", len(left))
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestManyBadRowsAreCountedNotKept(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t).Store(t)
	const rows = 20_000
	report := importCSV(t, s, bookimport.Options{}, "title,authors\n"+strings.Repeat(",\n", rows))
	if report.Rejected != rows || len(report.Findings) >= 100 {
		t.Errorf("%d rejected, %d findings held; want %d and a few", report.Rejected, len(report.Findings), rows)
	}
}
