package telemetry

// A Code names a kind of warning or error in the log: the value of "code". Its
// meaning never changes, so that people can search for it and alert on it.
type Code string

// The codes of the log. [Codes] explains them.
const (
	// Way in.
	CodeRequestRejected Code = "request-rejected"
	CodeRequestShed     Code = "request-shed"
	CodeEventNotStored  Code = "event-not-stored"
	CodeEventAmbiguous  Code = "event-ambiguous"
	CodePassUnrecorded  Code = "pass-unrecorded"
	CodeConnectionsFull Code = "connections-full"
	CodeFilesExhausted  Code = "files-exhausted"
	CodeFilesFew        Code = "files-few"
	CodeVerdictsDiffer  Code = "verdicts-differ"
	CodeProxyDoubted    Code = "proxy-doubted"

	// Deliveries.
	CodeDeadLetter        Code = "dead-letter"
	CodeTargetUnavailable Code = "target-unavailable"
	CodeTargetPanic       Code = "target-panic"
	CodeAttemptOverdue    Code = "attempt-overdue"
	CodeTargetMissing     Code = "target-missing"
	CodeEventTypeUnknown  Code = "event-type-unknown"
	CodeAnswerMissing     Code = "answer-missing"
	CodeClaimFailed       Code = "claim-failed"
	CodeReleaseFailed     Code = "release-failed"
	CodeHurryFailed       Code = "hurry-failed"
	CodeResultUnrecorded  Code = "result-unrecorded"
	CodeResultStale       Code = "result-stale"
	CodeRouteUnsaved      Code = "route-unsaved"
	CodeReplayFailed      Code = "replay-failed"

	// Store.
	CodeCommitFailed     Code = "commit-failed"
	CodeStoreClose       Code = "store-close"
	CodeStoreTooLarge    Code = "store-too-large"
	CodeCannotShrink     Code = "cannot-shrink"
	CodeRetentionFailed  Code = "retention-failed"
	CodeRetentionPaused  Code = "retention-paused"
	CodeDataVolatile     Code = "data-volatile"
	CodeDataReplaced     Code = "data-replaced"
	CodeFileRestored     Code = "file-restored"
	CodeKeyReplaced      Code = "key-replaced"
	CodeBacklogUncounted Code = "backlog-uncounted"
	CodePostgresUnsafe   Code = "postgres-unsafe"
	CodePostgresPooler   Code = "postgres-pooler"
	CodePostgresEncoding Code = "postgres-encoding"
	CodePostgresStalled  Code = "postgres-stalled"
	CodeTextRefused      Code = "text-refused"
	CodePostgresAsync    Code = "postgres-async"
	CodeStoreRenewed     Code = "store-renewed"
	CodeLeaseFailing     Code = "lease-failing"
	CodeLeaseLost        Code = "lease-lost"
	CodeTookOver         Code = "took-over"
	CodeWatchFailed      Code = "watch-failed"
	CodeForwardKeys      Code = "forward-keys"

	// Plugins.
	CodePluginDown         Code = "plugin-down"
	CodePluginUpdate       Code = "plugin-update"
	CodePluginPoisoned     Code = "plugin-poisoned"
	CodePluginDirectory    Code = "plugin-directory"
	CodePluginUnprotected  Code = "plugin-unprotected"
	CodePluginUnremembered Code = "plugin-unremembered"
	CodePluginForced       Code = "plugin-forced"
	CodePluginSilent       Code = "plugin-silent"
	CodePluginFloods       Code = "plugin-floods"
	CodePluginMisread      Code = "plugin-misread"
	CodePluginUnsettled    Code = "plugin-unsettled"
	CodePluginLimits       Code = "plugin-limits"
	CodePluginInClear      Code = "plugin-in-clear"

	// Configuration and operation.
	CodeConfigWarning     Code = "config-warning"
	CodeConfigRefused     Code = "config-refused"
	CodeConfigRestart     Code = "config-restart"
	CodeCertInvalid       Code = "certificate-invalid"
	CodeCertRefused       Code = "certificate-refused"
	CodePartFailed        Code = "part-failed"
	CodeClockSet          Code = "clock-set"
	CodeUnhealthy         Code = "unhealthy"
	CodeNoSignOfLife      Code = "no-sign-of-life"
	CodeServiceManager    Code = "service-manager"
	CodeAppSignal         Code = "app-signal"
	CodeAppLeft           Code = "app-left"
	CodeAdminFailed       Code = "admin-failed"
	CodeExportBroken      Code = "export-broken"
	CodeRecordsUnreadable Code = "records-unreadable"

	// Telemetry.
	CodeLogLost           Code = "log-lost"
	CodeMetricsIncomplete Code = "metrics-incomplete"
	CodeTracesLost        Code = "traces-lost"
	CodeAlertLost         Code = "alert-lost"
)
