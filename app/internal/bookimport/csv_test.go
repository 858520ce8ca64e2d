package bookimport

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collect reads all rows and returns the titles by line, "!reason" for a rejected row.
func collect(t *testing.T, rows source) (map[int64]string, error) {
	t.Helper()
	got := map[int64]string{}
	for {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got[r.line] = r.values[fieldTitle]
		if r.rejected != nil {
			got[r.line] = "!" + string(r.rejected.reason)
		}
	}
}

func openCSV(t *testing.T, content string) source {
	t.Helper()
	rows, _, err := openSource(bufio.NewReader(strings.NewReader(content)), Options{Name: "a.csv"}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestCSVRowsKnowTheirPhysicalLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxRecord)
	for name, test := range map[string]struct {
		content string
		want    map[int64]string
	}{
		"one row":                          {"title,authors\na,A\n", map[int64]string{2: "a"}},
		"no line end at the end":           {"title,authors\na,A", map[int64]string{2: "a"}},
		"CRLF":                             {"title,authors\r\na,A\r\nb,B\r\n", map[int64]string{2: "a", 3: "b"}},
		"byte order mark":                  {"\xef\xbb\xbftitle,authors\na,A\n", map[int64]string{2: "a"}},
		"blank lines":                      {"\n\ntitle,authors\n\na,A\n\r\n\nb,B\n\n", map[int64]string{5: "a", 8: "b"}},
		"a field of several lines":         {"title,authors\n\"a\n\nz\",A\nb,B\n", map[int64]string{2: "a\n\nz", 5: "b"}},
		"escaped quotes":                   {"title,authors\n\"a \"\"z\"\"\",A\n\"\"\"\",B\n", map[int64]string{2: `a "z"`, 3: `"`}},
		"a line break behind an escape":    {"title,authors\n\"a\"\"\n\"\"z\",A\nb,B\n", map[int64]string{2: "a\"\n\"z", 4: "b"}},
		"quoted delimiter":                 {"title,authors\n\"a, z\",A\n", map[int64]string{2: "a, z"}},
		"too few and too many fields":      {"title,authors\na\nb,B,B\nc,C\n", map[int64]string{2: "!columns", 3: "!columns", 4: "c"}},
		"a stray quote hurts only its row": {"title,authors\n5\" disk,A\nb,B\n", map[int64]string{2: "!unreadable", 3: "b"}},
		"text behind a closing quote":      {"title,authors\n\"a\"z,A\nb,B\n", map[int64]string{2: "!unreadable", 3: "b"}},
		"a header without rows":            {"title,authors\n", map[int64]string{}},
		"a huge field hurts only its row":  {"title,authors\n" + long + ",A\nb,B\n", map[int64]string{2: "!unreadable", 3: "b"}},
		"a huge quoted field of many lines": {
			"title,authors\n\"" + strings.Repeat("x\n", maxRecord) + "\",A\nb,B\n",
			map[int64]string{2: "!unreadable", maxRecord + 3: "b"},
		},
		"a huge last line": {"title,authors\nb,B\n" + long + ",A", map[int64]string{2: "b", 3: "!unreadable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := collect(t, openCSV(t, test.content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("titles by line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAQuoteThatNeverClosesEndsTheImport(t *testing.T) {
	t.Parallel()
	// Every row behind it would be swallowed, so it must not count as one bad row.
	_, err := collect(t, openCSV(t, "title,authors\na,A\n\"b,B\nc,C\n"))
	if err == nil || !strings.Contains(err.Error(), "line 3: a quoted field begins in this record and never ends") {
		t.Errorf("%v, want an error that names line 3", err)
	}
}

func TestADamagedRowOfSeveralLinesNamesItsLastOne(t *testing.T) {
	t.Parallel()
	rows := openCSV(t, "title,authors\n\"a\nb,B\nc\"x,C\n")
	r, err := rows.next()
	if err != nil || r.rejected == nil || !strings.Contains(r.rejected.detail, "reaches to line 4") {
		t.Errorf("row %+v, %v; want it to say that it reaches to line 4", r, err)
	}
}

func TestFilesThatCannotBeImported(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		mapping Mapping
		want    string
	}{
		"empty":             {"", nil, "the file is empty"},
		"only blank lines":  {"\n\r\n\n", nil, "the file is empty"},
		"only a BOM":        {"\xef\xbb\xbf", nil, "the file is empty"},
		"UTF-16":            {"\xff\xfet\x00i\x00", nil, "save it as UTF-8"},
		"UTF-16 big-endian": {"\xfe\xff\x00t\x00i", nil, "save it as UTF-8"},
		"no title":          {"name,authors\n", nil, `no column for title; the columns are "name", "authors"; name it with --map title=COLUMN`},
		"no authors":        {"title,by\n", nil, `no column for authors; the columns are "title", "by"`},
		"title not taken":   {"title,authors\n", Mapping{"title": ""}, "no column for title"},
		"mapped to a column that is not there": {
			"title,authors\n", Mapping{"language": "tongue"}, `no column "tongue" for language; the columns are "title", "authors"`},
		"two columns of one name":        {"title,authors,Title\n", nil, `two columns "Title" for title`},
		"two columns of the mapped name": {"title,authors,t,t\n", Mapping{"title": "t"}, `two columns "t" for title`},
		"another delimiter":              {"title;authors\n", nil, "see --delimiter"},
		"a header with a stray quote":    {"title\"s,authors\n", nil, "line 1: read the header"},
		"a header without an end":        {"\"title,authors\n", nil, "read the header: line 1"},
		"a header that is too long":      {strings.Repeat("x", maxRecord+1) + "\n", nil, "read the header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := Options{Name: "a.csv", Mapping: test.mapping}.withDefaults()
			_, _, err := openSource(bufio.NewReader(strings.NewReader(test.content)), opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error that says %q", err, test.want)
			}
		})
	}
}

func TestColumnsAreFoundByNameAliasAndMapping(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header  []string
		mapping Mapping
		want    [fieldCount]int
	}{
		"the names of the API": {
			[]string{"title", "authors", "isbn13", "isbn10", "published_year", "language", "description"}, nil, [fieldCount]int{0, 1, 2, 3, 4, 5, 6}},
		"other usual names in any case and order": {
			[]string{"Year", " ISBN ", "AUTHOR", "x", "Title", "Lang"}, nil, [fieldCount]int{4, 2, -1, 1, 0, 5, -1}},
		"the more exact name wins": {
			[]string{"author", "authors", "title"}, nil, [fieldCount]int{2, 1, -1, -1, -1, -1, -1}},
		"mapped": {
			[]string{"title", "authors", "name"}, Mapping{"title": "name"}, [fieldCount]int{2, 1, -1, -1, -1, -1, -1}},
		"left out": {
			[]string{"title", "authors", "isbn"}, Mapping{"isbn10": ""}, [fieldCount]int{0, 1, -1, -1, -1, -1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.mapping.resolve(test.header)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzRecords compares the cutting into records with encoding/csv's own wherever that accepts the whole input.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		"a,b\nc,d\n", "\"a\nb\",c\r\n\r\nd,\"\"\"\"", "5\" disk,x\ny,z\n", "\"a\"b,c\n\"d\n", "a,\"b\"\r\n,\n\n\"\"\n", "\r\n\"\r\n\"", "\"a\"\r", ",\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		whole := csv.NewReader(bytes.NewReader(content))
		whole.FieldsPerRecord = -1
		want, err := whole.ReadAll()
		valid := err == nil

		s := &csvSource{
			records: &recordReader{in: bufio.NewReaderSize(bytes.NewReader(content), 16), comma: ',', line: 1}, // 16: the least there is
			parsing: bufio.NewReader(nil),
		}
		var got [][]string
		var total int
		for {
			record, first, last, err := s.records.next()
			if err != nil {
				if valid && !errors.Is(err, io.EOF) {
					t.Fatalf("encoding/csv reads %q, the record reader says %v", content, err)
				}
				break
			}
			if first > last || last != s.records.line-1 {
				t.Fatalf("a record from line %d to %d before line %d", first, last, s.records.line)
			}
			total += len(record)
			fields, err := s.parse(record)
			if valid && err != nil {
				t.Fatalf("encoding/csv reads %q, but not its record %q: %v", content, record, err)
			}
			if len(fields) > 0 {
				got = append(got, fields)
			}
		}
		if total > len(content) {
			t.Fatalf("%d bytes of records from %d bytes", total, len(content))
		}
		if diff := cmp.Diff(want, got); valid && diff != "" {
			t.Fatalf("records of %q (-encoding/csv +this):\n%s", content, diff)
		}
	})
}

// FuzzRows puts any file through the whole reading side: it must end, and every row must be a draft or a rejection.
func FuzzRows(f *testing.F) {
	f.Add([]byte("title,authors,isbn,year\na,A,439023483,1997.0\n"), "")
	f.Add([]byte(`{"title":"a","authors":["A"],"isbn13":9.78043902348e+12,"published_year":-750}`), "")
	f.Add([]byte("{}\n[]\nnull\n{\"title\":7}\n\"\n"), "jsonl")
	f.Add([]byte("\xef\xbb\xbftitle;authors\n\"\n"), "csv")
	f.Fuzz(func(t *testing.T, content []byte, format string) {
		opts := Options{Name: "x", Format: Format(format)}.withDefaults()
		rows, _, err := openSource(bufio.NewReader(bytes.NewReader(content)), opts)
		if err != nil {
			return
		}
		var last int64
		for {
			r, err := rows.next()
			if err != nil {
				return
			}
			if r.line <= last {
				t.Fatalf("a row of line %d follows one of line %d", r.line, last)
			}
			last = r.line
			draft, _, rejected := r.draft(opts, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			if (rejected == nil) != (draft.Title != "") || rejected != nil && (rejected.reason == "" || rejected.detail == "") {
				t.Fatalf("line %d is %+v, rejected for %+v", r.line, draft, rejected)
			}
		}
	})
}
