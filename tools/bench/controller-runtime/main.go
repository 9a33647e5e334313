// An operator on controller-runtime that does the same work as bzzz_operator, to measure the two side by side.
//
// What a HiveAgent becomes is the same to the byte: the children come as a template from bzzz_operator's own
// desired_state (--children FILE, a JSON list), in which a name, a namespace and a UID are placeholders. What is
// compared is the machinery: caches, queue, comparison, writes.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const (
	hashAnnotation = "bzzz.dev/applied-hash"
	namePlace      = "NAME-PLACE"
	namespacePlace = "NAMESPACE-PLACE"
	uidPlace       = "UID-PLACE"
)

var hiveAgent = schema.GroupVersionKind{Group: "bzzz.dev", Version: "v1alpha1", Kind: "HiveAgent"}

type reconciler struct {
	client.Client
	decoder   runtime.Decoder
	templates []json.RawMessage
}

func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	agent := newHiveAgent()
	if err := r.Get(ctx, req.NamespacedName, agent); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if agent.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil // the garbage collector takes the children
	}
	var ready int32
	for _, template := range r.templates {
		child, err := r.ensure(ctx, agent, template)
		if err != nil {
			return ctrl.Result{}, err
		}
		if set, ok := child.(*appsv1.StatefulSet); ok {
			ready = set.Status.ReadyReplicas
		}
	}
	return ctrl.Result{}, r.report(ctx, agent, ready)
}

// ensure compares with the cache and writes only what is missing or differs.
func (r *reconciler) ensure(ctx context.Context, agent *unstructured.Unstructured, template json.RawMessage) (client.Object, error) {
	text := bytes.ReplaceAll(template, []byte(namePlace), []byte(agent.GetName()))
	text = bytes.ReplaceAll(text, []byte(namespacePlace), []byte(agent.GetNamespace()))
	text = bytes.ReplaceAll(text, []byte(uidPlace), []byte(agent.GetUID()))
	decoded, _, err := r.decoder.Decode(text, nil, nil)
	if err != nil {
		return nil, err
	}
	want := decoded.(client.Object)
	digest := sha256.Sum256(text)
	hash := hex.EncodeToString(digest[:8])
	annotations := want.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[hashAnnotation] = hash
	want.SetAnnotations(annotations)
	have := want.DeepCopyObject().(client.Object)
	err = r.Get(ctx, client.ObjectKeyFromObject(want), have)
	switch {
	case apierrors.IsNotFound(err):
		if err := r.Create(ctx, want); !apierrors.IsAlreadyExists(err) {
			return want, err
		}
		return want, nil // the cache is behind; the event of the object brings us back
	case err != nil:
		return nil, err
	case have.GetAnnotations()[hashAnnotation] == hash:
		return have, nil
	}
	want.SetResourceVersion(have.GetResourceVersion())
	return want, r.Update(ctx, want)
}

func (r *reconciler) report(ctx context.Context, agent *unstructured.Unstructured, ready int32) error {
	old := agent.DeepCopy()
	replicas, _, _ := unstructured.NestedInt64(agent.Object, "spec", "replicas")
	status := map[string]any{
		"observedGeneration": agent.GetGeneration(),
		"replicas":           replicas,
		"readyReplicas":      int64(ready),
		"ready":              fmt.Sprintf("%d/%d", ready, replicas),
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "False", "reason": "ReplicasNotReady", "observedGeneration": agent.GetGeneration(),
			"lastTransitionTime": agent.GetCreationTimestamp().UTC().Format("2006-01-02T15:04:05Z"),
			"message":            fmt.Sprintf("%d of %d replicas ready", ready, replicas),
		}},
	}
	_ = unstructured.SetNestedMap(agent.Object, status, "status")
	if equality.Semantic.DeepEqual(old.Object["status"], agent.Object["status"]) {
		return nil
	}
	return r.Status().Patch(ctx, agent, client.MergeFrom(old))
}

func newHiveAgent() *unstructured.Unstructured {
	agent := &unstructured.Unstructured{}
	agent.SetGroupVersionKind(hiveAgent)
	return agent
}

func run() error {
	kubeconfig := flag.Lookup("kubeconfig") // controller-runtime registers it
	workers := flag.Int("workers", 10, "concurrent reconciles")
	children := flag.String("children", "", "JSON list of what a HiveAgent becomes")
	namespace := flag.String("namespace", "default", "the one namespace that is watched")
	flag.Parse()
	ctrl.SetLogger(klog.NewKlogr())
	raw, err := os.ReadFile(*children)
	if err != nil {
		return err
	}
	var templates []json.RawMessage
	if err := json.Unmarshal(raw, &templates); err != nil {
		return fmt.Errorf("%s: %w", *children, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig.Value.String())
	if err != nil {
		return err
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Group: hiveAgent.Group, Version: hiveAgent.Version})
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{*namespace: {}}},
	})
	if err != nil {
		return err
	}
	// our own status writes do not come back; children come back on any change
	spec := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	err = ctrl.NewControllerManagedBy(manager).Named("hiveagent").For(newHiveAgent(), spec).
		Owns(&corev1.Service{}).Owns(&corev1.Secret{}).Owns(&corev1.ConfigMap{}).Owns(&corev1.ServiceAccount{}).
		Owns(&netv1.NetworkPolicy{}).Owns(&policyv1.PodDisruptionBudget{}).Owns(&appsv1.StatefulSet{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: *workers}).
		Complete(&reconciler{
			Client:    manager.GetClient(),
			decoder:   serializer.NewCodecFactory(scheme).UniversalDeserializer(),
			templates: templates,
		})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
