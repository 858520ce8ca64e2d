package delivery

import (
	"strings"
	"testing"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
	"bookshelf/infra/scratch"
)

func TestARestoredDatabaseIsTakenOnlyForWhatItIs(t *testing.T) {
	t.Parallel()
	content := backup.Content{System: "7", Tables: []backup.Table{{Name: "books", Rows: 2, Hash: "1"}}}
	marker := &backup.Marker{Name: "m", Content: content}
	other := &backup.Marker{Name: "m", Content: backup.Content{System: "7", Tables: []backup.Table{{Name: "books", Rows: 2, Hash: "2"}}}}
	for name, test := range map[string]struct {
		content backup.Content
		system  string
		marker  *backup.Marker
		target  scratch.Target
		want    string
	}{
		"the content of its marker":             {content, "7", marker, scratch.Target{Point: "m"}, ""},
		"a moment that has no marker":           {content, "7", other, scratch.Target{Time: time.Now()}, ""},
		"an environment that cannot be asked":   {content, "", nil, scratch.Target{}, ""},
		"another content than its marker's":     {content, "7", other, scratch.Target{Point: "m"}, "books is not as it was backed up"},
		"another cluster":                       {content, "8", nil, scratch.Target{}, "another database: its cluster is 7, not 8"},
		"a database without tables":             {backup.Content{System: "7"}, "7", nil, scratch.Target{}, "no table"},
		"a table that the marker knows is gone": {backup.Content{System: "7", Tables: []backup.Table{{Name: "x"}}}, "7", marker, scratch.Target{Point: "m"}, "books is not as"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := acceptable(test.content, test.system, test.marker, test.target)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestABackupIsOverdueWhenTwoInARowHaveNotCome(t *testing.T) {
	t.Parallel()
	for late, b := range map[time.Duration]environment.Backup{
		48 * time.Hour:  {Full: 168 * time.Hour, Diff: 24 * time.Hour},
		336 * time.Hour: {Full: 168 * time.Hour},
	} {
		if got := overdue(b); got != late {
			t.Errorf("%+v is overdue after %s, want %s", b, got, late)
		}
	}
}
