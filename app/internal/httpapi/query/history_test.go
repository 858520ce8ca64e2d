package query

import (
	"testing"

	"bookshelf/app/internal/book"
	"bookshelf/app/internal/httpapi/problem"
)

// Any query is either refused with a 400, or a page within the limits that the cursor's own list continues.
func FuzzParseHistoryQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=1", "limit=-1", "cursor=x&cursor=y", "cursor=" + EventCursor(1, -1), "%zz", "limit=１",
	} {
		f.Add(seed, int64(1))
	}
	f.Add("limit=200&cursor="+EventCursor(7, 3), int64(7))
	f.Fuzz(func(t *testing.T, raw string, id int64) {
		q, err := History(raw, id)
		if err != nil {
			if answer := problem.Of(t.Context(), err); answer.Kind.Status != 400 {
				t.Fatalf("error = %v, want a 400", err)
			}
			return
		}
		if q.Before < 0 || q.Limit < 1 || q.Limit > book.MaxHistoryLimit {
			t.Errorf("%q is read as %d changes before %d", raw, q.Limit, q.Before)
		}
	})
}
