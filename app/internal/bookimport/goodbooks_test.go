package bookimport_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bookshelf/app/internal/bookimport"
	"bookshelf/app/internal/postgres/pgtest"
)

// goodbooks opens the real data set, which is not part of this repository.
func goodbooks(t *testing.T) *os.File {
	t.Helper()
	path := os.Getenv("GOODBOOKS_CSV")
	if path == "" {
		path = filepath.Join("..", "..", "..", "..", "shared", "data", "goodbooks-10k.csv")
	}
	file, err := os.Open(path)
	if err != nil {
		t.Skipf("the goodbooks-10k data set is not here (GOODBOOKS_CSV names its file): %v", err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// counts are the figures that docs/operations.md gives for the data set.
type counts struct {
	Rows, Inserted, Duplicates, Rejected int64
	Reasons, Repairs                     map[bookimport.Reason]int64
}

func TestTenThousandRealBooks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts bookimport.Options
		want counts
	}{
		"as they are": {
			bookimport.Options{AuthorSeparator: ","},
			counts{
				Rows: 10_000, Inserted: 9_842, Rejected: 158,
				Reasons: map[bookimport.Reason]int64{bookimport.ReasonISBNScientific: 135, bookimport.ReasonISBN: 23},
				Repairs: map[bookimport.Reason]int64{
					bookimport.RepairISBN13Unusable: 9_257, bookimport.RepairISBNZeros: 6_586, bookimport.RepairAuthorRepeated: 7,
				},
			},
		},
		"without the ISBNs that are unusable": {
			bookimport.Options{AuthorSeparator: ",", DropBadISBN: true},
			counts{
				Rows: 10_000, Inserted: 10_000,
				Reasons: map[bookimport.Reason]int64{},
				Repairs: map[bookimport.Reason]int64{
					bookimport.RepairISBN13Unusable: 9_257, bookimport.RepairISBNZeros: 6_586, bookimport.RepairAuthorRepeated: 7,
					bookimport.RepairISBNDropped: 158,
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, s := goodbooks(t), pgtest.New(t).Store(t)
			report, err := bookimport.Run(t.Context(), test.opts, file, s, silent)
			if err != nil {
				t.Fatal(err)
			}
			checkSums(t, report)
			got := counts{report.Rows, report.Inserted, report.Duplicates, report.Rejected, report.Reasons, report.Repairs}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			t.Logf("%d books in %.2f s", report.Accepted, report.Seconds)
		})
	}
}
