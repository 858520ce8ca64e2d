package database

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALoginFileMustHaveTwoLines(t *testing.T) {
	t.Parallel()
	for content, good := range map[string]bool{
		"user\nsecret\n": true, "user\r\nsecret\r\n": true, "user\nsecret": true, "user\n a:b \n": true,
		"": false, "user": false, "user\n": false, "\nsecret\n": false, "user\nsecret\nmore\n": false,
	} {
		file := filepath.Join(t.TempDir(), "login")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := CheckLogin(file)
		if (err == nil) != good {
			t.Errorf("%q: %v", content, err)
		}
		if err != nil && (!strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: the error %q must name the file, and nothing in it", content, err)
		}
	}
}
