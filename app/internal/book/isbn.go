package book

import (
	"errors"
	"fmt"
	"strings"
)

// ParseISBN reads an ISBN-10 or ISBN-13, verifies its check digit and returns it as 13 digits; an ISBN-10 is converted.
// Hyphens and spaces may stand anywhere, because their places follow from a registry of publishers that changes. See the
// ISBN Users' Manual, 7th edition, section 4, and ISO 2108.
func ParseISBN(s string) (string, error) {
	digits, err := isbnDigits(s)
	if err != nil {
		return "", err
	}
	switch len(digits) {
	case 10:
		return convertISBN10(digits)
	case 13:
		return checkISBN13(digits)
	default:
		return "", fmt.Errorf("must be an ISBN of 10 or 13 digits, has %d", len(digits))
	}
}

// isbnDigits strips separators and refuses everything else that no ISBN contains. A final x becomes X.
func isbnDigits(s string) (string, error) {
	var b strings.Builder
	for i, r := range strings.TrimSpace(s) {
		switch {
		case r >= '0' && r <= '9', r == 'X':
			b.WriteRune(r)
		case r == 'x':
			b.WriteByte('X')
		case r == '-', r == ' ', r == '\u2010', r == '\u2011', r == '\u2013':
			// Hyphens, also the typeset kinds that come with text copied from a page.
		default:
			return "", fmt.Errorf("must be an ISBN of digits and hyphens, has %q at byte %d", r, i)
		}
	}
	digits := b.String()
	if i := strings.IndexByte(digits, 'X'); i >= 0 && (i != 9 || len(digits) != 10) {
		return "", errors.New("must be an ISBN: X stands only for the last digit of an ISBN-10")
	}
	return digits, nil
}

// convertISBN10 verifies ten digits, of which the last may be X, and returns the ISBN-13 of the same book.
func convertISBN10(digits string) (string, error) {
	sum := 0
	for i := range 9 {
		sum += (10 - i) * int(digits[i]-'0')
	}
	want := byte('X')
	if check := (11 - sum%11) % 11; check < 10 {
		want = '0' + byte(check)
	}
	if digits[9] != want {
		return "", checkDigitError("ISBN-10", want, digits[9])
	}
	prefixed := "978" + digits[:9]
	return prefixed + string(checkDigit13(prefixed)), nil
}

func checkISBN13(digits string) (string, error) {
	if !strings.HasPrefix(digits, "978") && !strings.HasPrefix(digits, "979") {
		return "", errors.New("must be an ISBN: 13 digits begin with 978 or 979")
	}
	if want := checkDigit13(digits[:12]); digits[12] != want {
		return "", checkDigitError("ISBN-13", want, digits[12])
	}
	return digits, nil
}

// checkDigit13 computes the check digit of an ISBN-13's first twelve digits, which weigh 1 and 3 in turn.
func checkDigit13(digits string) byte {
	sum := 0
	for i := range 12 {
		sum += (1 + i%2*2) * int(digits[i]-'0')
	}
	return '0' + byte((10-sum%10)%10)
}

func checkDigitError(kind string, want, got byte) error {
	return fmt.Errorf("must be an ISBN with a correct check digit: this %s would end in %c, not %c", kind, want, got)
}
