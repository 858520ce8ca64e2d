package bookimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// field is a part of a book that a file can hold.
type field int

const (
	fieldTitle field = iota
	fieldAuthors
	fieldISBN13
	fieldISBN10
	fieldYear
	fieldLanguage
	fieldDescription
	fieldCount
)

// fieldNames are those of the API, and isbn10, which it reads into isbn13.
var fieldNames = [fieldCount]string{"title", "authors", "isbn13", "isbn10", "published_year", "language", "description"}

// String returns the name that --map takes.
func (f field) String() string { return fieldNames[f] }

// aliases are the column names that are understood without --map, in any case, the first that exists winning.
var aliases = [fieldCount][]string{
	fieldTitle:       {"title"},
	fieldAuthors:     {"authors", "author"},
	fieldISBN13:      {"isbn13", "isbn_13"},
	fieldISBN10:      {"isbn10", "isbn_10", "isbn"},
	fieldYear:        {"published_year", "year", "publication_year", "original_publication_year"},
	fieldLanguage:    {"language", "language_code", "lang"},
	fieldDescription: {"description"},
}

// Mapping names the column of each field that is not called by one of its usual names; "" means that the field is not
// taken from the file.
type Mapping map[string]string

// Set adds one FIELD=COLUMN, as a flag.Value does.
func (m Mapping) Set(s string) error {
	name, column, ok := strings.Cut(s, "=")
	switch {
	case !ok:
		return errors.New("must be FIELD=COLUMN")
	case !slices.Contains(fieldNames[:], name):
		return fmt.Errorf("there is no field %q; the fields are %s", name, strings.Join(fieldNames[:], ", "))
	}
	if _, twice := m[name]; twice {
		return fmt.Errorf("field %s is mapped twice", name)
	}
	m[name] = column
	return nil
}

// String is the other half of flag.Value.
func (m Mapping) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+m[name])
	}
	return strings.Join(parts, " ")
}

// resolve finds the columns of a header, -1 for a field without one. A column that is asked for and not there, and a
// missing title or authors, are errors that tell which columns there are.
func (m Mapping) resolve(header []string) (columns [fieldCount]int, err error) {
	for f := range fieldCount {
		column, mapped := m[f.String()]
		if mapped {
			columns[f], err = m.find(f, column, header)
		} else {
			columns[f], err = guess(f, header)
		}
		if err != nil {
			return columns, fmt.Errorf("%w; the columns are %s", err, list(header))
		}
	}
	if columns[fieldTitle] < 0 || columns[fieldAuthors] < 0 {
		missing := fieldTitle
		if columns[fieldTitle] >= 0 {
			missing = fieldAuthors
		}
		hint := fmt.Sprintf("name it with --map %s=COLUMN", missing)
		if len(header) == 1 && strings.ContainsAny(header[0], ";\t|") {
			hint = "is the delimiter another one? see --delimiter"
		}
		return columns, &HeaderError{
			Problem: fmt.Sprintf("there is no column for %s; the columns are %s", missing, list(header)), Remedy: hint,
		}
	}
	return columns, nil
}

// find returns the one column of the given name, which counts in its exact spelling: the person who wrote it could see it.
func (m Mapping) find(f field, column string, header []string) (int, error) {
	if column == "" {
		return -1, nil
	}
	at := slices.Index(header, column)
	if at < 0 {
		return 0, fmt.Errorf("there is no column %q for %s", column, f)
	}
	if slices.Contains(header[at+1:], column) {
		return 0, fmt.Errorf("there are two columns %q for %s", column, f)
	}
	return at, nil
}

// guess returns the column with one of the field's usual names, -1 when there is none. Two of the same name are an error,
// because taking the first would silently drop the other.
func guess(f field, header []string) (int, error) {
	for _, alias := range aliases[f] {
		found := -1
		for i, name := range header {
			if !strings.EqualFold(strings.TrimSpace(name), alias) {
				continue
			}
			if found >= 0 {
				return 0, fmt.Errorf("there are two columns %q for %s", name, f)
			}
			found = i
		}
		if found >= 0 {
			return found, nil
		}
	}
	return -1, nil
}

// member returns the object's member for the field. It looks anew for every object, because lines of JSON need not have the
// same members.
func (m Mapping) member(f field, members map[string]json.RawMessage) (json.RawMessage, bool) {
	if name, mapped := m[f.String()]; mapped {
		raw, ok := members[name]
		return raw, ok && name != ""
	}
	for _, alias := range aliases[f] {
		if raw, ok := members[alias]; ok {
			return raw, true
		}
	}
	return nil, false
}

// list quotes names for an error, not more than a screen takes.
func list(names []string) string {
	const most = 40
	var quoted []string
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, fmt.Sprintf("%.60q", name))
	}
	if len(names) > most {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(quoted, ", ")
}
