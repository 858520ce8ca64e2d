package book

import (
	"strings"
	"testing"
)

func TestParseISBN(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want string }{
		"thirteen digits":                {"9780306406157", "9780306406157"},
		"hyphens":                        {"978-0-306-40615-7", "9780306406157"},
		"spaces around and within":       {" 978 0 306 40615 7 ", "9780306406157"},
		"typeset hyphens":                {"978‐0‑306–40615‐7", "9780306406157"},
		"prefix 979":                     {"979-10-343-0496-7", "9791034304967"},
		"ISBN-10":                        {"0-306-40615-2", "9780306406157"},
		"ISBN-10 that ends in X":         {"0-8044-2957-X", "9780804429573"},
		"ISBN-10 that ends in a low x":   {"080442957x", "9780804429573"},
		"ISBN-10 with a check digit 0":   {"0-00-000000-0", "9780000000002"},
		"ISBN-13 with a check digit 0":   {"978-0-14-143960-0", "9780141439600"},
		"only zeros behind the prefix":   {"9780000000002", "9780000000002"},
		"many hyphens are not counted":   {"9-7-8-0-3-0-6-4-0-6-1-5-7", "9780306406157"},
		"an ISBN-10 that looks like 978": {"9780306409", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseISBN(test.in)
			if test.want == "" {
				if err == nil {
					t.Errorf("ParseISBN(%q) = %q, want an error", test.in, got)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("ParseISBN(%q) = %q, %v; want %q", test.in, got, err, test.want)
			}
		})
	}
}

func TestParseISBNSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                  "has 0",
		"978030640615":      "has 12",
		"97803064061577":    "has 14",
		"9780306406158":     "would end in 7, not 8",
		"0306406153":        "would end in 2, not 3",
		"0804429570":        "would end in X, not 0",
		"9770306406157":     "978 or 979",
		"978030640615X":     "X stands only for",
		"X804429570":        "X stands only for",
		"ISBN 0306406152":   `'I' at byte 0`,
		"030640615\u0662":   "at byte 9",
		"0306\x00406152":    "at byte 4",
		"\xff0306406152":    "at byte 0",
		"9.78030640616e+12": `'.' at byte 1`,
	} {
		if _, err := ParseISBN(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseISBN(%q): %v, want an error that says %q", in, err, want)
		}
	}
}

// FuzzParseISBN checks what holds for every ISBN that is accepted: it is canonical, and no single wrong digit and no swap
// of two neighbours that the check digit promises to find goes unnoticed.
func FuzzParseISBN(f *testing.F) {
	for _, seed := range []string{"9780306406157", "0-306-40615-2", "080442957X", "979-10-343-0496-7", "", "X", "978", "9.78e+12", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		isbn, err := ParseISBN(s)
		if err != nil {
			if isbn != "" {
				t.Fatalf("ParseISBN(%q) = %q together with %v", s, isbn, err)
			}
			return
		}
		if len(isbn) != 13 || strings.Trim(isbn, "0123456789") != "" {
			t.Fatalf("ParseISBN(%q) = %q, want 13 digits", s, isbn)
		}
		if again, err := ParseISBN(isbn); err != nil || again != isbn {
			t.Fatalf("ParseISBN(%q) = %q, %v; want it unchanged", isbn, again, err)
		}
		for i := range isbn {
			for digit := byte('0'); digit <= '9'; digit++ {
				wrong := isbn[:i] + string(digit) + isbn[i+1:]
				if _, err := ParseISBN(wrong); err == nil && wrong != isbn {
					t.Fatalf("%q and %q are both accepted", isbn, wrong)
				}
			}
		}
		// A converted ISBN-10 differs from its ISBN-13 only in prefix and check digit.
		digits, err := isbnDigits(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(digits) == 10 && isbn[:12] != "978"+digits[:9] {
			t.Fatalf("ParseISBN(%q) = %q", s, isbn)
		}
	})
}
