package bookimport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/postgres"
	"bookshelf/app/internal/postgres/pgtest"
)

// noDatabase fails the test when the command asks for the database.
func noDatabase(t *testing.T) func(context.Context) (*postgres.Store, error) {
	t.Helper()
	return func(context.Context) (*postgres.Store, error) {
		t.Error("the command opened the database")
		return nil, errors.New("no database")
	}
}

// opener opens a new store at every call, because the command closes it.
func opener(d *pgtest.Database) func(context.Context) (*postgres.Store, error) {
	return func(ctx context.Context) (*postgres.Store, error) {
		return postgres.Open(ctx, postgres.Options{Options: d.App})
	}
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongCommandLinesAreUsageErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no file":                     {nil, "no file is given"},
		"two files":                   {[]string{"a.csv", "b.csv"}, "one file at a time"},
		"an unknown flag":             {[]string{"--fast", "a.csv"}, "-fast"},
		"an unknown flag behind":      {[]string{"a.csv", "--fast"}, "-fast"},
		"a flag without its value":    {[]string{"a.csv", "--report"}, "needs an argument"},
		"an unknown format":           {[]string{"--format", "xml", "a.csv"}, `must be csv or jsonl, is "xml"`},
		"an unknown conflict":         {[]string{"--on-conflict", "ask", "a.csv"}, `must be skip, update or fail, is "ask"`},
		"an unknown field":            {[]string{"--map", "price=cost", "a.csv"}, `no field "price"; the fields are title, authors`},
		"a mapping without a column":  {[]string{"--map", "title", "a.csv"}, "must be FIELD=COLUMN"},
		"a field mapped twice":        {[]string{"--map", "title=a", "--map", "title=b", "a.csv"}, "mapped twice"},
		"a long delimiter":            {[]string{"--delimiter", "::", "a.csv"}, "one ASCII character"},
		"a delimiter beyond ASCII":    {[]string{"--delimiter", "¦", "a.csv"}, "one ASCII character"},
		"a quote as delimiter":        {[]string{"--delimiter", `"`, "a.csv"}, "one ASCII character"},
		"an empty author separator":   {[]string{"--author-separator", "", "a.csv"}, "must not be empty"},
		"no delimiter":                {[]string{"--delimiter", "", "a.csv"}, "one ASCII character"},
		"a switch with a wrong value": {[]string{"--dry-run=perhaps", "a.csv"}, "perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := bookimport.Command(t.Context(), test.args, noDatabase(t), strings.NewReader(""), &out, &out)
			var usage *bookimport.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "--help") {
				t.Errorf("%v, want a UsageError that says %q and where help is", err, test.want)
			}
			if out.Len() > 0 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestHelpShowsFlagsAndExamples(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"a.csv", "--help"}} {
		var out, errOut bytes.Buffer
		if err := bookimport.Command(t.Context(), args, noDatabase(t), strings.NewReader(""), &out, &errOut); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		for _, want := range []string{"Usage: bookd import", "-on-conflict", "-map FIELD=COLUMN", "Examples:", "--format jsonl -"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q: help does not show %q:\n%s", args, want, out.String())
			}
		}
		if errOut.Len() > 0 {
			t.Errorf("%q: printed %q on stderr", args, errOut.String())
		}
	}
}

func TestFilesThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	missing := filepath.Join(t.TempDir(), "missing.csv")
	err := bookimport.Command(t.Context(), []string{missing}, noDatabase(t), nil, &out, &out)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v, want an error that names it", err)
	}
	dir := t.TempDir()
	if err := bookimport.Command(t.Context(), []string{dir}, noDatabase(t), nil, &out, &out); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v, want an error that says so", err)
	}
	if _, ok := errors.AsType[*bookimport.UsageError](err); ok {
		t.Errorf("a missing file is taken for a wrong command line: %v", err)
	}
}

func TestCommandImportsAFileAndReports(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	path := writeFile(t, "shelf.csv", shelf)
	reportFile := filepath.Join(t.TempDir(), "left-out.jsonl")
	var out, errOut bytes.Buffer
	err := bookimport.Command(t.Context(), []string{path, "--report", reportFile}, opener(d), nil, &out, &errOut)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		path + ": imported 4 of 7 rows", "line 5: rejected: title: must not be blank", "duplicate           2",
		"1  leading zeros put back into an ISBN-10",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	if errOut.Len() > 0 {
		t.Errorf("an import of a moment printed %q on stderr", errOut.String())
	}
	file, err := os.Open(reportFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if findings := decodeFindings(t, file); len(findings) != 3 {
		t.Errorf("the report file lists %d rows, want 3", len(findings))
	}
	if n := len(stored(t, d.Store(t))); n != 4 {
		t.Errorf("%d books are stored, want 4", n)
	}
}

func TestCommandReadsStandardInputAndPrintsJSON(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	const lines = `{"name":"Emma","by":["Jane Austen"]}` + "\n" + `{"name":"","by":["Nobody"]}` + "\n"
	var out, errOut bytes.Buffer
	err := bookimport.Command(t.Context(), []string{"--json", "--map", "title=name", "--map", "authors=by", "-"},
		opener(d), strings.NewReader(lines), &out, &errOut)
	if err != nil {
		t.Fatal(err)
	}
	var report bookimport.Report
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil {
		t.Fatalf("the report is not JSON: %v", err)
	}
	checkSums(t, report)
	if report.Input != "standard input" || report.Format != bookimport.JSONLines || report.Inserted != 1 || report.Rejected != 1 {
		t.Errorf("report %+v", report)
	}
}

func TestCommandTakesTabsAndUpdates(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	path := writeFile(t, "shelf.tsv", "title\tauthors\tyear\nEmma\tJane Austen & Another Lady\t1815\n")
	args := []string{"--delimiter", `\t`, "--author-separator", " & ", "--on-conflict", "update", path}
	var out bytes.Buffer
	for range 2 {
		if err := bookimport.Command(t.Context(), args, opener(d), nil, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	books := stored(t, d.Store(t))
	if len(books) != 1 || len(books[0].Authors) != 2 {
		t.Errorf("books %+v, want one with two authors", books)
	}
	if !strings.Contains(out.String(), "unchanged           1") {
		t.Errorf("the second report does not say that nothing changed:\n%s", out.String())
	}
}

func TestCommandReportsDuplicatesAndFails(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	var out bytes.Buffer
	err := bookimport.Command(t.Context(), []string{"--on-conflict", "fail", "-"}, opener(d), strings.NewReader(shelf), &out, io.Discard)
	if !errors.Is(err, bookimport.ErrDuplicates) {
		t.Errorf("%v, want ErrDuplicates", err)
	}
	if !strings.Contains(out.String(), "imported 0 of 7 rows") || !strings.Contains(out.String(), "line 6: duplicate") {
		t.Errorf("report:\n%s", out.String())
	}
	if left := stored(t, d.Store(t)); len(left) > 0 {
		t.Errorf("%d books are left", len(left))
	}
}

func TestCommandDryRunSaysSo(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	var out bytes.Buffer
	if err := bookimport.Command(t.Context(), []string{"-", "--dry-run"}, opener(d), strings.NewReader(shelf), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "dry run, nothing changed; would have imported 4 of 7 rows") {
		t.Errorf("report:\n%s", out.String())
	}
}

func TestAnUnwritableReportStopsBeforeTheImport(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	args := []string{"--report", filepath.Join(t.TempDir(), "no", "such", "folder"), "-"}
	err := bookimport.Command(t.Context(), args, opener(d), strings.NewReader(shelf), io.Discard, io.Discard)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want a missing folder", err)
	}
	if left := stored(t, d.Store(t)); len(left) > 0 {
		t.Errorf("%d books are left", len(left))
	}
}

func TestCommandEndsWhileItWaitsForInput(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	// Nobody writes to this pipe: the end of a shell pipeline whose beginning hangs.
	silent, writer := io.Pipe()
	defer writer.Close()
	stdin := io.MultiReader(strings.NewReader("title,authors\nEmma,Jane Austen\n"), &onRead{cancel}, silent)
	err := bookimport.Command(ctx, []string{"-"}, opener(d), stdin, io.Discard, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the cancellation", err)
	}
	if left := stored(t, d.Store(t)); len(left) > 0 {
		t.Errorf("%d books are left", len(left))
	}
}
