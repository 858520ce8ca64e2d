package httpapi

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	gocmp "github.com/google/go-cmp/cmp"
)

// TestThePageWorksInABrowser opens /docs in Chromium, tries an operation, and leaves a picture in $BOOKSHELF_ARTEFACTS.
func TestThePageWorksInABrowser(t *testing.T) {
	t.Parallel()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("REQUIRE_BROWSER") == "1" {
			t.Fatalf("REQUIRE_BROWSER=1, but %v", err)
		}
		t.Skip("there is no chromium on the PATH: nothing can open the page")
	}
	b := setup(t)
	server := httptest.NewServer(b.api)
	defer server.Close()
	ctx := open(t, browser)
	var seen observer
	chromedp.ListenTarget(ctx, seen.note)

	var listed []string
	var answer string
	var picture []byte
	var want []string
	for _, o := range allOperations(modelOf(t)) {
		want = append(want, o.method+" "+o.path)
	}
	err = chromedp.Run(ctx,
		network.Enable(), log.Enable(),
		chromedp.EmulateViewport(1200, 1600),
		chromedp.Navigate(server.URL+"/docs"),
		chromedp.WaitVisible("#operations-service-getVersion"),
		chromedp.Evaluate(`Array.from(document.querySelectorAll(".opblock"), o =>
			o.querySelector(".opblock-summary-method").textContent + " " +
			o.querySelector(".opblock-summary-path").dataset.path)`, &listed),
		chromedp.FullScreenshot(&picture, 100),
		// The page can use the service, as far as its policy goes.
		chromedp.Click("#operations-service-getVersion .opblock-summary-control"),
		chromedp.Click("#operations-service-getVersion .try-out__btn"),
		chromedp.Click("#operations-service-getVersion .execute"),
		chromedp.Text("#operations-service-getVersion .live-responses-table tbody .response-col_status", &answer),
	)
	if err != nil {
		t.Fatalf("%v; the browser saw %v", err, seen.complaints())
	}
	if complaints := seen.complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(complaints, "\n"))
	}
	slices.Sort(listed)
	slices.Sort(want)
	if diff := gocmp.Diff(want, listed); diff != "" {
		t.Errorf("operations (-described +listed):\n%s", diff)
	}
	if !strings.HasPrefix(answer, "200") {
		t.Errorf("the operation that was tried shows %q, want 200", answer)
	}
	for _, url := range seen.asked() {
		if !strings.HasPrefix(url, server.URL+"/") && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asks for %s", url)
		}
	}
	keep(t, "docs.png", picture)
}

// open starts a browser without a window, which ends with the test.
func open(t *testing.T, browser string) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// keep leaves a picture where $BOOKSHELF_ARTEFACTS says, if it does.
func keep(t *testing.T, name string, picture []byte) {
	t.Helper()
	folder := os.Getenv("BOOKSHELF_ARTEFACTS")
	if folder == "" {
		return
	}
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("the page looks like %s", path)
}

// observer remembers what a page did that its reader does not see.
type observer struct {
	mu       sync.Mutex
	mistakes []string
	urls     []string
}

// note takes an event. What the policy forbids is an entry of the log, what a script throws an exception.
func (o *observer) note(event any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			o.mistakes = append(o.mistakes, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		o.mistakes = append(o.mistakes, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, argument := range e.Args {
				o.mistakes = append(o.mistakes, string(argument.Value))
			}
		}
	case *network.EventRequestWillBeSent:
		o.urls = append(o.urls, e.Request.URL)
	}
}

func (o *observer) complaints() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.mistakes)
}

func (o *observer) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.urls)
}
