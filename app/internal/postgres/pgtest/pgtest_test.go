package pgtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// recorded is a test that notes how it was ended.
type recorded struct {
	testing.TB
	skipped, failed string
}

func (r *recorded) Helper()                           {}
func (r *recorded) Skipf(format string, args ...any)  { r.skipped = fmt.Sprintf(format, args...) }
func (r *recorded) Fatalf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

func TestWithoutAServerTestsSkipUnlessServicesAreRequired(t *testing.T) {
	t.Parallel()
	gone := errors.New("the server is gone")

	optional := &recorded{TB: t}
	refuse(optional, gone, "")
	if optional.failed != "" || !strings.Contains(optional.skipped, gone.Error()) {
		t.Errorf("skipped with %q, failed with %q; want it skipped with the reason", optional.skipped, optional.failed)
	}
	required := &recorded{TB: t}
	refuse(required, gone, "1")
	if required.skipped != "" || !strings.Contains(required.failed, gone.Error()) {
		t.Errorf("skipped with %q, failed with %q; want it failed with the reason", required.skipped, required.failed)
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := New(t), New(t)
	if one.Owner.Name == two.Owner.Name {
		t.Fatalf("both are %s", one.Owner.Name)
	}
	conn := one.Conn(t, one.App)
	if _, err := conn.Exec(t.Context(), "INSERT INTO books (title, authors) VALUES ('Emma', '{Jane Austen}')"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := two.Conn(t, two.App).QueryRow(t.Context(), "SELECT count(*) FROM books").Scan(&n); err != nil || n != 0 {
		t.Errorf("the other database has %d books, %v", n, err)
	}
}

func TestADatabaseIsGoneAfterItsTest(t *testing.T) {
	t.Parallel()
	var names []string
	t.Run("a test", func(t *testing.T) {
		names = append(names, New(t).Owner.Name, Empty(t).Owner.Name)
	})
	conn := New(t).Conn(t, connect(t).admin)
	for _, name := range names {
		var left bool
		err := conn.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)
				OR EXISTS (SELECT FROM pg_roles WHERE rolname = $1 || '_app')`, name).Scan(&left)
		if err != nil || left {
			t.Errorf("%s or its role is left: %t, %v", name, left, err)
		}
	}
}
