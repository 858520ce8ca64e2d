package bookimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bookshelf/app/internal/book"
)

// row is one record of a file before it is a book.
type row struct {
	line     int64 // the physical line it begins on, from 1
	values   [fieldCount]string
	authors  []string   // when the file has them as a list; otherwise they are in values
	rejected *rejection // when the row could not be read
}

// Reason is why a row did not come in, or how one had to be repaired to come in.
type Reason string

// Reasons for rejecting a row. A row is counted under the first that applies.
const (
	ReasonUnreadable     Reason = "unreadable"      // damaged quotes, broken JSON, a record that is too long
	ReasonColumns        Reason = "columns"         // more or fewer fields than the header
	ReasonTitle          Reason = "title"           // blank, too long, not UTF-8 …
	ReasonAuthors        Reason = "authors"         //
	ReasonISBN           Reason = "isbn"            // a wrong check digit, no ISBN at all, or two different ones
	ReasonISBNScientific Reason = "isbn_scientific" // an ISBN-13 such as 9.78043902348e+12, and no usable ISBN-10 beside it
	ReasonYear           Reason = "published_year"  // not a year, or out of range
	ReasonLanguage       Reason = "language"        // not a language tag
	ReasonDescription    Reason = "description"     // too long, not UTF-8 …
)

// Reasons for leaving out a row as a duplicate.
const (
	ReasonStoredISBN   Reason = "stored_isbn"   // a stored book has the ISBN
	ReasonStoredBook   Reason = "stored_book"   // a stored book has title, authors and year, and neither has an ISBN
	ReasonRepeatedISBN Reason = "repeated_isbn" // an earlier row has the ISBN
	ReasonRepeatedBook Reason = "repeated_book" // an earlier row has title, authors and year, and neither has an ISBN
)

// Repairs of rows that came in.
const (
	RepairISBNZeros      Reason = "isbn10_leading_zeros" // an ISBN-10 had lost the zeros it begins with
	RepairISBN13Unusable Reason = "isbn13_unusable"      // the ISBN-10 was taken instead
	RepairISBNDropped    Reason = "isbn_dropped"         // the book came in without an ISBN, as was asked for
	RepairAuthorRepeated Reason = "author_repeated"      // a name was given twice
)

// fieldReasons is the reason of an invalid value in each field.
var fieldReasons = [fieldCount]Reason{
	ReasonTitle, ReasonAuthors, ReasonISBN, ReasonISBN, ReasonYear, ReasonLanguage, ReasonDescription,
}

// pointerReasons is the same for the pointers that book.Draft.Normalize reports.
var pointerReasons = map[string]Reason{
	"title": ReasonTitle, "authors": ReasonAuthors, "isbn13": ReasonISBN, "published_year": ReasonYear,
	"language": ReasonLanguage, "description": ReasonDescription,
}

// rejection says why a row is not taken.
type rejection struct {
	reason Reason
	detail string
}

// draft turns the row into a book that can be stored, mending what is known to go wrong in files from spreadsheets and
// data sets, and names the repairs. It never guesses: what cannot be mended for certain is rejected.
func (r row) draft(opts Options, now time.Time) (book.Draft, []Reason, *rejection) {
	if r.rejected != nil {
		return book.Draft{}, nil, r.rejected
	}
	var repairs []Reason
	d := book.Draft{
		Title:       r.values[fieldTitle],
		Language:    strings.ReplaceAll(r.values[fieldLanguage], "_", "-"), // as POSIX locales write it
		Description: r.values[fieldDescription],
	}
	d.Authors = r.names(opts.AuthorSeparator)
	if !opts.Exact {
		// A line break within a title is a spreadsheet's cell being wrapped.
		d.Title = strings.Join(strings.Fields(d.Title), " ")
		var repeated bool
		if d.Authors, repeated = mendAuthors(d.Authors); repeated {
			repairs = append(repairs, RepairAuthorRepeated)
		}
	}
	isbn, repair, bad := chooseISBN(r.values[fieldISBN13], r.values[fieldISBN10])
	switch {
	case bad != nil && opts.DropBadISBN:
		repairs = append(repairs, RepairISBNDropped)
	case bad != nil:
		return book.Draft{}, nil, bad
	default:
		d.ISBN = isbn
		repairs = append(repairs, repair...)
	}
	// An approximate year ("c. 1850") is rejected, not rounded: nothing stored could tell it from an exact one.
	year, err := parseYear(r.values[fieldYear])
	if err != nil {
		return book.Draft{}, nil, &rejection{ReasonYear, "published_year: " + err.Error()}
	}
	d.PublishedYear = year
	normal, err := d.Normalize(now)
	if invalid, ok := errors.AsType[*book.InvalidError](err); ok {
		first, _, _ := strings.Cut(strings.TrimPrefix(invalid.Violations[0].Pointer, "/"), "/")
		return book.Draft{}, nil, &rejection{pointerReasons[first], invalid.Detail()}
	}
	return normal, repairs, nil
}

// names are the authors as the file has them: a list, also one that is written into a field as an array of JSON, or what
// stands between the separators.
func (r row) names(separator string) []string {
	if r.authors != nil {
		return r.authors
	}
	field := r.values[fieldAuthors]
	if strings.HasPrefix(field, "[") {
		var names []string
		if err := json.Unmarshal([]byte(field), &names); err == nil {
			return names
		}
	}
	return strings.Split(field, separator)
}

// mendAuthors leaves blanks out and reports whether a name stood there twice. In a catalogue's list that is a mistake of
// joining tables; two people of one name are named once.
func mendAuthors(parts []string) (names []string, repeated bool) {
	for _, part := range parts {
		name := strings.Join(strings.Fields(part), " ")
		switch {
		case name == "":
		case slices.Contains(names, name):
			repeated = true
		default:
			names = append(names, name)
		}
	}
	return names, repeated
}

// yearForm is a year as databases and spreadsheets export it: 1997, -750, 1997.0.
var yearForm = regexp.MustCompile(`^([+-]?[0-9]{1,9})(\.0*)?$`)

// parseYear returns nil for a blank.
func parseYear(s string) (*int, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, nil
	}
	m := yearForm.FindStringSubmatch(s)
	if m == nil {
		return nil, fmt.Errorf("must be a year such as 1997 or -750, is %.40q", s)
	}
	year, err := strconv.Atoi(m[1])
	return &year, err
}

// chooseISBN takes the ISBN-13 when it is good, otherwise the ISBN-10; both may be blank. A book whose only ISBN is bad is
// rejected rather than stored without: it could not be told from other editions later.
func chooseISBN(isbn13, isbn10 string) (isbn string, repairs []Reason, bad *rejection) {
	long, _, bad13 := readISBN(isbn13)
	short, padded, bad10 := readISBN(isbn10)
	switch {
	case long != "" && short != "" && long != short:
		// Both pass their check digit, so neither is a slip of the pen, and nothing says which column to believe.
		return "", nil, &rejection{ReasonISBN, fmt.Sprintf("isbn13 %s and isbn10 %.40q are of different books", long, isbn10)}
	case long != "":
		return long, nil, nil
	case short != "":
		if padded {
			repairs = append(repairs, RepairISBNZeros)
		}
		if bad13 != nil {
			repairs = append(repairs, RepairISBN13Unusable)
		}
		return short, repairs, nil
	case bad10 != nil:
		return "", nil, &rejection{bad10.reason, "isbn10: " + bad10.detail}
	case bad13 != nil:
		return "", nil, &rejection{bad13.reason, "isbn13: " + bad13.detail}
	}
	return "", nil, nil
}

// float is an ISBN after it went through a column of floating-point numbers.
var float = regexp.MustCompile(`^([0-9]+)(?:\.([0-9]*))?(?:[eE]\+?([0-9]{1,2}))?$`)

// readISBN returns the ISBN-13 of a cell, "" for a blank one, and whether leading zeros had to be put back. A number that
// lost digits is bad even where a check digit could be computed: it was rounded, and the digit before may be wrong.
func readISBN(cell string) (isbn string, padded bool, bad *rejection) {
	cell = strings.TrimSpace(cell)
	if cell == "" {
		return "", false, nil
	}
	digits := cell
	if m := float.FindStringSubmatch(cell); m != nil {
		exponent, _ := strconv.Atoi(m[3]) // at most two digits, or none
		fraction := strings.TrimRight(m[2], "0")
		switch {
		case m[3] == "" && fraction == "":
			digits = m[1]
		case len(fraction) == exponent:
			digits = m[1] + fraction // such as 9.780439023481e+12: nothing is lost
		default:
			return "", false, &rejection{ReasonISBNScientific,
				fmt.Sprintf("%.40q is a rounded number, its last digits are lost", cell)}
		}
	}
	isbn, err := book.ParseISBN(digits)
	if err == nil {
		return isbn, false, nil
	}
	// Three zeros at most, the shortest English-language group and publisher: with more, any number would pass too easily.
	if len(digits) >= 7 && len(digits) < 10 && digits[0] != '0' {
		if isbn, padErr := book.ParseISBN(strings.Repeat("0", 10-len(digits)) + digits); padErr == nil {
			return isbn, true, nil
		}
		err = fmt.Errorf("%w, and is no ISBN-10 that lost leading zeros either", err)
	}
	return "", false, &rejection{ReasonISBN, fmt.Sprintf("%.40q %s", cell, err)}
}
