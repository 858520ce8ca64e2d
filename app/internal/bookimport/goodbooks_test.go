package bookimport_test

import (
	"context"
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

func TestTenThousandRealBooks(t *testing.T) {
	t.Parallel()
	file, store := goodbooks(t), pgtest.New(t).Store(t)
	report, err := bookimport.Run(t.Context(), bookimport.Options{Name: "goodbooks-10k.csv", AuthorSeparator: ","},
		file, store, func(bookimport.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	report.WriteText(os.Stdout)
	_ = context.Background
	_ = cmp.Diff
}
