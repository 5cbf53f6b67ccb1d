package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// next gives the next event of w that is no bookmark.
func next(tb testing.TB, w watch.Interface) watch.Event {
	tb.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				tb.Fatal("the watch has ended")
			}
			if e.Type != watch.Bookmark {
				return e
			}
		case <-deadline.C:
			tb.Fatal("no event")
		}
	}
}

func TestWatchResumesFromARevision(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	first := ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap("a"), metav1.CreateOptions{}))
	changed := first.DeepCopy()
	changed.Labels = map[string]string{"x": "y"}
	ok[*corev1.ConfigMap](t)(c.Update(t.Context(), changed, metav1.UpdateOptions{}))
	if err := c.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w := ok[watch.Interface](t)(c.Watch(t.Context(), metav1.ListOptions{ResourceVersion: first.ResourceVersion}))
	defer w.Stop()
	if e := next(t, w); e.Type != watch.Modified {
		t.Errorf("first %v", e.Type)
	}
	gone := next(t, w)
	cm, is := gone.Object.(*corev1.ConfigMap)
	if gone.Type != watch.Deleted || !is || cm.ResourceVersion <= first.ResourceVersion {
		t.Errorf("then %v %+v", gone.Type, gone.Object)
	}
	// By label, the change is an arrival.
	l := ok[watch.Interface](t)(c.Watch(t.Context(), metav1.ListOptions{ResourceVersion: first.ResourceVersion, LabelSelector: "x=y"}))
	defer l.Stop()
	if e := next(t, l); e.Type != watch.Added {
		t.Errorf("entered the selection as %v", e.Type)
	}
}

func TestWatchFromForgottenHistoryIsGone(t *testing.T) {
	c := started(t).CoreV1().Events("default")
	e := ok[*corev1.Event](t)(c.Create(t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}, metav1.CreateOptions{}))
	old := e.ResourceVersion
	for i := range 4200 {
		e.Count = int32(i + 1)
		e = ok[*corev1.Event](t)(c.Update(t.Context(), e, metav1.UpdateOptions{}))
	}
	_, err := c.Watch(t.Context(), metav1.ListOptions{ResourceVersion: old})
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("watch from the start: %v", err)
	}
}

func TestWatchListSendsStateThenABookmark(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap("a"), metav1.CreateOptions{}))
	yes := true
	w := ok[watch.Interface](t)(c.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}))
	defer w.Stop()
	if e := next(t, w); e.Type != watch.Added {
		t.Fatalf("first %v", e.Type)
	}
	e := <-w.ResultChan()
	cm, is := e.Object.(*corev1.ConfigMap)
	if e.Type != watch.Bookmark || !is || cm.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("then %v %+v", e.Type, e.Object)
	}
}

func TestBookmarksFollowProductTime(t *testing.T) {
	t.Parallel()
	o := options(t, "")
	s, _ := start(t, o)
	c := client(t, s)
	w := ok[watch.Interface](t)(c.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{AllowWatchBookmarks: true}))
	defer w.Stop()
	cm := ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("a"), metav1.CreateOptions{}))
	next(t, w)
	sec := ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("kube-system").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, metav1.CreateOptions{}))
	if err := o.Clock.Advance(t.Context(), 61*time.Second); err != nil {
		t.Fatal(err)
	}
	e := <-w.ResultChan()
	b, is := e.Object.(*corev1.ConfigMap)
	if e.Type != watch.Bookmark || !is || b.ResourceVersion != sec.ResourceVersion {
		t.Errorf("got %v %+v, want a bookmark at %s (after %s)", e.Type, e.Object, sec.ResourceVersion, cm.ResourceVersion)
	}
}

func TestPagesShowOneRevision(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	for i := range 5 {
		ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap(fmt.Sprint("c", i)), metav1.CreateOptions{}))
	}
	names := func(l *corev1.ConfigMapList) (out []string) {
		for _, i := range l.Items {
			out = append(out, i.Name)
		}
		return out
	}
	p1 := ok[*corev1.ConfigMapList](t)(c.List(t.Context(), metav1.ListOptions{Limit: 2}))
	if p1.RemainingItemCount == nil || *p1.RemainingItemCount != 3 {
		t.Errorf("remaining %v", p1.RemainingItemCount)
	}
	// What happens between the pages is not to be seen on the second.
	if err := c.Delete(t.Context(), "c3", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ok[*corev1.ConfigMap](t)(c.Create(t.Context(), configMap("c2a"), metav1.CreateOptions{}))
	p2 := ok[*corev1.ConfigMapList](t)(c.List(t.Context(), metav1.ListOptions{Limit: 9, Continue: p1.Continue}))
	if diff := cmp.Diff([]string{"c0", "c1", "c2", "c3", "c4"}, append(names(p1), names(p2)...)); diff != "" {
		t.Error(diff)
	}
	if p1.ResourceVersion != p2.ResourceVersion {
		t.Errorf("pages of revisions %s and %s", p1.ResourceVersion, p2.ResourceVersion)
	}
	l := ok[*corev1.ConfigMapList](t)(c.List(t.Context(), metav1.ListOptions{}))
	if diff := cmp.Diff([]string{"c0", "c1", "c2", "c2a", "c4"}, names(l)); diff != "" {
		t.Error(diff)
	}
}

func TestSelectors(t *testing.T) {
	c := started(t)
	pods := c.CoreV1().Pods("default")
	for _, n := range []string{"a", "b"} {
		ok[*corev1.Pod](t)(pods.Create(t.Context(), pod(n), metav1.CreateOptions{}))
	}
	bind(t, c, "b")
	for selector, want := range map[string]int{"spec.nodeName=n1": 1, "spec.nodeName=": 1, "status.phase=Pending": 2, "metadata.name=a,status.phase!=Running": 1} {
		l := ok[*corev1.PodList](t)(pods.List(t.Context(), metav1.ListOptions{FieldSelector: selector}))
		if len(l.Items) != want {
			t.Errorf("%s: %d pods, want %d", selector, len(l.Items), want)
		}
	}
	if _, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "nosuch=1"}); !apierrors.IsBadRequest(err) {
		t.Errorf("unknown field: %v", err)
	}
	if l := ok[*corev1.PodList](t)(pods.List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})); len(l.Items) != 2 {
		t.Errorf("by label: %d", len(l.Items))
	}
}

// get asks the server for a path.
func get(tb testing.TB, c *rest.Config, path, accept string) (int, []byte) {
	tb.Helper()
	hc := ok[*http.Client](tb)(rest.HTTPClientFor(c))
	r := ok[*http.Request](tb)(http.NewRequestWithContext(tb.Context(), http.MethodGet, c.Host+path, nil))
	r.Header.Set("Accept", accept)
	resp := ok[*http.Response](tb)(hc.Do(r))
	defer resp.Body.Close()
	return resp.StatusCode, ok[[]byte](tb)(io.ReadAll(resp.Body))
}

func TestTablesHaveOneCellForEachColumn(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := client(t, s)
	ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	lists := ok[[]*metav1.APIResourceList](t)(c.Discovery().ServerPreferredResources())
	for _, l := range lists {
		root := "/apis/"
		if l.GroupVersion == "v1" {
			root = "/api/"
		}
		for _, r := range l.APIResources {
			if !strings.Contains(strings.Join(r.Verbs, " "), "list") {
				continue
			}
			code, body := get(t, s.RESTConfig(api.Operator), root+l.GroupVersion+"/"+r.Name, "application/json;as=Table;v=v1;g=meta.k8s.io")
			var table metav1.Table
			if err := json.Unmarshal(body, &table); code != http.StatusOK || err != nil || len(table.ColumnDefinitions) == 0 {
				t.Errorf("%s: %d %v %s", r.Name, code, err, body)
			}
			for _, row := range table.Rows {
				if len(row.Cells) != len(table.ColumnDefinitions) {
					t.Errorf("%s: %d cells in %d columns", r.Name, len(row.Cells), len(table.ColumnDefinitions))
				}
			}
		}
	}
}

func TestDiscoveryNamesWhatIsServedAndTheRestIsNotFound(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := client(t, s)
	found := map[string]bool{}
	for _, l := range ok[[]*metav1.APIResourceList](t)(c.Discovery().ServerPreferredResources()) {
		for _, r := range l.APIResources {
			found[r.Name] = true
		}
	}
	for _, want := range []string{
		"namespaces", "nodes", "pods", "secrets", "configmaps", "serviceaccounts", "services", "endpoints", "endpointslices", "persistentvolumes", "persistentvolumeclaims", "events",
		"deployments", "replicasets", "jobs", "leases", "networkpolicies", "poddisruptionbudgets", "horizontalpodautoscalers", "storageclasses",
		"roles", "rolebindings", "clusterroles", "clusterrolebindings",
		"selfsubjectaccessreviews", "selfsubjectreviews",
	} {
		if !found[want] {
			t.Errorf("%s is not in discovery", want)
		}
	}
	for _, path := range []string{"/apis/apps/v1/daemonsets", "/apis/events.k8s.io/v1/events", "/nosuch"} {
		if code, body := get(t, s.RESTConfig(api.Operator), path, "application/json"); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	for _, path := range []string{"/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/healthz", "/readyz", "/livez"} {
		if code, body := get(t, s.RESTConfig(api.Operator), path, "application/json"); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestOpenAPIDocumentsBuild(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	code, body := get(t, s.RESTConfig(api.Operator), "/openapi/v2", "application/json")
	var v2 struct {
		Definitions map[string]struct {
			Properties map[string]any `json:"properties"`
			GVK        any            `json:"x-kubernetes-group-version-kind"`
		} `json:"definitions"`
	}
	if err := json.Unmarshal(body, &v2); code != http.StatusOK || err != nil {
		t.Fatalf("v2: %d %v %.200s", code, err, body)
	}
	d := v2.Definitions["io.k8s.api.apps.v1.Deployment"]
	if d.Properties["spec"] == nil || d.GVK == nil || strings.Contains(string(body), "__internal") {
		t.Errorf("v2 of %d definitions: %+v", len(v2.Definitions), d)
	}
	var v3 struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	code, body = get(t, s.RESTConfig(api.Operator), "/openapi/v3", "application/json")
	if err := json.Unmarshal(body, &v3); code != http.StatusOK || err != nil || len(v3.Paths) != 12 {
		t.Fatalf("v3: %d %v %s", code, err, body)
	}
	for name, p := range v3.Paths {
		if code, body := get(t, s.RESTConfig(api.Operator), p.URL, "application/json"); code != http.StatusOK || !strings.Contains(string(body), `"schemas"`) {
			t.Errorf("v3 %s: %d %.200s", name, code, body)
		}
	}
}

func TestLogsComeFromTheSource(t *testing.T) {
	c := started(t)
	ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	read := func(o *corev1.PodLogOptions) (string, error) {
		r, err := c.CoreV1().Pods("default").GetLogs("p", o).Stream(t.Context())
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return string(b), err
	}
	if got, err := read(&corev1.PodLogOptions{}); got != "" || err != nil {
		t.Errorf("before binding: %q %v", got, err)
	}
	bind(t, c, "p")
	if got, err := read(&corev1.PodLogOptions{}); got != "default/p/c\n" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := read(&corev1.PodLogOptions{Container: "x"}); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "container x is not valid for pod p") {
		t.Errorf("other container: %v", err)
	}
}

func TestManyWatchersSeeEveryChangeInOrder(t *testing.T) {
	c := started(t)
	const watchers, changes = 50, 20
	results := make(chan error, watchers)
	ready := make(chan struct{}, watchers)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range watchers {
		go func() {
			w, err := c.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{})
			ready <- struct{}{}
			if err != nil {
				results <- err
				return
			}
			defer w.Stop()
			for want := range changes {
				e := <-w.ResultChan()
				cm, is := e.Object.(*corev1.ConfigMap)
				if !is || cm.Data["n"] != strconv.Itoa(want) {
					results <- fmt.Errorf("event %d is %v %+v", want, e.Type, e.Object)
					return
				}
			}
			results <- nil
		}()
	}
	for range watchers {
		<-ready
	}
	cm := configMap("a")
	cm.Data["n"] = "0"
	cm = ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}))
	for i := 1; i < changes; i++ {
		cm.Data["n"] = strconv.Itoa(i)
		cm = ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Update(t.Context(), cm, metav1.UpdateOptions{}))
	}
	var errs []error
	for range watchers {
		errs = append(errs, <-results)
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func TestInformersWork(t *testing.T) {
	c := started(t)
	ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	f := informers.NewSharedInformerFactory(c, 0)
	inf := f.Core().V1().Pods().Informer()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	f.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), inf.HasSynced) {
		t.Error("the informer did not fill")
	}
	if n := len(inf.GetStore().ListKeys()); n != 1 {
		t.Errorf("%d pods in the informer", n)
	}
	cancel()
	f.Shutdown()
}
