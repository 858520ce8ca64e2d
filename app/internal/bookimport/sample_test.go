package bookimport_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/postgres/pgtest"
)

// TestTheSampleIsImportedAsItsReadmeSays holds data/README.md to its figures.
func TestTheSampleIsImportedAsItsReadmeSays(t *testing.T) {
	t.Parallel()
	file, err := os.Open(filepath.Join("..", "..", "data", "books.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	report, err := bookimport.Run(t.Context(), bookimport.Options{Name: "books.csv"}, file, pgtest.New(t).Store(t), silent)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, report)
	got := counts{report.Rows, report.Inserted, report.Duplicates, report.Rejected, report.Reasons, report.Repairs}
	want := counts{
		Rows: 416, Inserted: 411, Duplicates: 2, Rejected: 3,
		Reasons: map[bookimport.Reason]int64{
			bookimport.ReasonISBNScientific: 1, bookimport.ReasonYear: 1, bookimport.ReasonTitle: 1,
			bookimport.ReasonRepeatedISBN: 1, bookimport.ReasonRepeatedBook: 1,
		},
		Repairs: map[bookimport.Reason]int64{
			bookimport.RepairISBNZeros: 2, bookimport.RepairISBN13Unusable: 1, bookimport.RepairAuthorRepeated: 1,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	var lines []int64
	for _, f := range report.Findings {
		lines = append(lines, f.Line)
	}
	if diff := cmp.Diff([]int64{12, 145, 166, 417, 418}, lines); diff != "" {
		t.Errorf("lines of the rows left out (-want +got):\n%s", diff)
	}
}
