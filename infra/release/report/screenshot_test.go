package report

import (
	"context"
	"image"
	_ "image/png" // what the browser writes
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"bookshelf/infra/release"
)

// TestAPageCanBeLookedAt opens a good and a bad release in a real browser, light and dark, and leaves the pictures in $BOOKSHELF_ARTEFACTS.
func TestAPageCanBeLookedAt(t *testing.T) {
	t.Parallel()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium on the PATH: nothing can open the page")
	}
	folder := t.TempDir()
	if artefacts := os.Getenv("BOOKSHELF_ARTEFACTS"); artefacts != "" {
		folder = artefacts
	}
	for name, sample := range map[string]release.Report{"released": released(), "rolled-back": rolledBack()} {
		page := filepath.Join(t.TempDir(), name+".html")
		if err := os.WriteFile(page, []byte(html(t, sample)), 0o600); err != nil {
			t.Fatal(err)
		}
		colours := map[string]int{}
		for scheme, arguments := range map[string][]string{"light": nil, "dark": {"--blink-settings=preferredColorScheme=0"}} {
			picture := filepath.Join(folder, "release-"+name+"-"+scheme+".png")
			photograph(t, browser, page, picture, arguments...)
			colours[scheme] = look(t, picture)
		}
		if colours["light"] <= colours["dark"] {
			t.Errorf("%s: the light page is %d bright, the dark one %d", name, colours["light"], colours["dark"])
		}
	}
}

// photograph has the browser open a page and take a picture of it.
func photograph(t *testing.T, browser, page, picture string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, browser, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--user-data-dir=" + t.TempDir(),
		"--window-size=1120,2400", "--screenshot=" + picture,
	}, append(arguments, "file://"+page)...)...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, output)
	}
}

// look complains about a picture that shows nothing, and says how bright it is, from 0 to 255.
func look(t *testing.T, path string) (brightness int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{}
	sum, n := 0, 0
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y += 3 {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x += 3 {
			r, g, b, _ := picture.At(x, y).RGBA()
			seen[r>>8<<16|g>>8<<8|b>>8] = true
			sum += int(r>>8+g>>8+b>>8) / 3
			n++
		}
	}
	if len(seen) < 20 {
		t.Errorf("%s has %d colours: it is blank", path, len(seen))
	}
	return sum / n
}
