package book

import (
	"testing"
)

func TestParseLanguage(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"en":                     "en",
		" EN ":                   "en",
		"mn-cYRL-mn":             "mn-Cyrl-MN", // the example of RFC 5646, section 2.1.1
		"EN-ca-X-CA":             "en-CA-x-ca",
		"SGN-be-fr":              "sgn-BE-FR",
		"AZ-latn-X-LATN":         "az-Latn-x-latn",
		"en-us-u-ISLAMCAL":       "en-US-u-islamcal",
		"zh-yue-hk":              "zh-yue-HK",
		"es-419":                 "es-419",
		"de-ch-1901":             "de-CH-1901",
		"sl-rozaj-biske":         "sl-rozaj-biske",
		"x-whatever":             "x-whatever",
		"I-KLINGON":              "i-klingon",
		"en-gb-OED":              "en-GB-oed",
		"art-lojban":             "art-lojban",
		"enm":                    "enm", // Middle English has no two-letter code
		"eng":                    "en",
		"ENG-us":                 "en-US",
		"ger":                    "de", // bibliographic
		"deu":                    "de", // terminological
		"fil":                    "fil",
		"qaa-Qaaa-QM-x-southern": "qaa-Qaaa-QM-x-southern",
	} {
		if got, err := ParseLanguage(in); err != nil || got != want {
			t.Errorf("ParseLanguage(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "e", "english language", "en_US", "en-", "-en", "en--US", "en-x", "en-a", "a-DE", "x", "ar-a-aaa-b", "en-US-Latn",
		"abcdefghi", "en-abcdefghi", "1en", "e\u0301n", "\u212Aa", "*", "en-*", "en\x00",
		"en-abcdefgh-abcdefgh-abcdefgh-abcdef", // 36 characters
	} {
		if got, err := ParseLanguage(in); err == nil {
			t.Errorf("ParseLanguage(%q) = %q, want an error", in, got)
		}
	}
}

func TestEveryShortenedCodeIsShort(t *testing.T) {
	t.Parallel()
	for long, short := range shortest {
		if len(long) != 3 || len(short) != 2 {
			t.Errorf("%q becomes %q", long, short)
		}
	}
}

func FuzzParseLanguage(f *testing.F) {
	for _, seed := range []string{"en", "ENG-latn-us", "x-a", "i-klingon", "zh-cmn-Hans-CN", "en-a-bbb-x-a-ccc", "\u212A", "de-1996"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := ParseLanguage(s)
		if err != nil {
			return
		}
		if again, err := ParseLanguage(tag); err != nil || again != tag {
			t.Fatalf("ParseLanguage(%q) = %q, which becomes %q, %v", s, tag, again, err)
		}
		if len(tag) > MaxLanguageLen {
			t.Fatalf("ParseLanguage(%q) = %q, longer than %d", s, tag, MaxLanguageLen)
		}
	})
}
