package admin

// Stats are what /about/stats and /metrics show under Jigasi's names. The
// counters only grow.
type Stats struct {
	Conferences     int     // calls in a room
	Participants    int     // people in those rooms
	ConferenceSizes [22]int // rooms by their people, the focus not counted; the last is 21 and more
	StressLevel     float64 // 0 idle, 1 full
	Draining        bool    // no new calls

	ConferencesCompleted int64 // calls that have ended
	ParticipantsTotal    int64 // people in the rooms of ended calls
	ConferenceSeconds    int64 // length of ended calls

	CallsWithDroppedMedia     int64 // calls in which the phone fell silent
	DroppedMedia              int64 // times that happened
	CallsWithConnectionFailed int64 // logins of calls that failed
	CallsWaiting              int64 // phones that waited for a new seat
	CallsReconnected          int64 // and got one
	CallsMigrated             int64 // calls that moved to another bridge
	CallsWithoutBridgeMedia   int64 // calls that never heard the bridge
	CallsWithoutHeartbeat     int64 // calls ended because the IVR was silent

	Transcriber TranscriberStats
}

// TranscriberStats are those of transcription.
type TranscriberStats struct {
	Started, Stopped, Failed                              int64
	ConnectionErrors, ConnectionRetries                   int64
	NoResultErrors, SendErrors, SessionCreationErrors     int64
	GoogleRequests, GoogleMinutes                         int64
	GoogleMillis, OracleMillis, WhisperMillis, VoskMillis int64
}

// A definition is one of Jigasi's statistics.
type definition struct {
	name    string // in JSON; with jitsi_jigasi_ before it, in metrics
	help    string
	counter bool
	get     func(*Stats) float64
}

// definitions are in the order of Jigasi's source of names: load, calls,
// transcription.
var definitions = []definition{
	{"conferences", "Number of conferences.", false, func(s *Stats) float64 { return float64(s.Conferences) }},
	{"participants", "Number of participants.", false, func(s *Stats) float64 { return float64(s.Participants) }},
	{"stress_level", "Stress level.", false, func(s *Stats) float64 { return s.StressLevel }},
	{"threads", "Number of goroutines.", false, func(*Stats) float64 { return float64(threads()) }},
	{"graceful_shutdown", "Whether jigasi is in graceful shutdown mode.", false, func(s *Stats) float64 { return one(s.Draining) }},
	{"total_conferences_completed", "Total number of conferences since started.", true, func(s *Stats) float64 { return float64(s.ConferencesCompleted) }},
	{"total_participants", "Total number of participants since started.", true, func(s *Stats) float64 { return float64(s.ParticipantsTotal) }},
	{"total_conference_seconds", "Cumulative number of seconds of all conferences", true, func(s *Stats) float64 { return float64(s.ConferenceSeconds) }},
	{"total_calls_with_dropped_media", "Total number of calls with dropped media since started.", true, func(s *Stats) float64 { return float64(s.CallsWithDroppedMedia) }},
	{"total_count_dropped_media", "Total number of times with dropped media since started.", true, func(s *Stats) float64 { return float64(s.DroppedMedia) }},
	{"total_calls_with_connection_failed", "Total number of calls with xmpp connection failed since started.", true, func(s *Stats) float64 { return float64(s.CallsWithConnectionFailed) }},
	{"total_calls_with_sip_call_waiting", "Total number of calls with xmpp call terminated and sip call waiting for new xmpp call.", true, func(s *Stats) float64 { return float64(s.CallsWaiting) }},
	{"total_calls_with_sip_call_reconnected", "Total number of calls with xmpp call terminated and sip call waiting.", true, func(s *Stats) float64 { return float64(s.CallsReconnected) }},
	{"total_calls_with_jvb_migrate", "Total number of calls with xmpp call receiving transport replace for moving to a new bridge.", true, func(s *Stats) float64 { return float64(s.CallsMigrated) }},
	{"total_calls_jvb_no_media", "Total number of calls with xmpp call not receiving media from the bridge.", true, func(s *Stats) float64 { return float64(s.CallsWithoutBridgeMedia) }},
	{"total_calls_no_heartbeat_response", "Total number of calls dropped due to no response to sip heartbeat.", true, func(s *Stats) float64 { return float64(s.CallsWithoutHeartbeat) }},
	{"total_transcriber_started", "Total number of started transcriptions.", true, func(s *Stats) float64 { return float64(s.Transcriber.Started) }},
	{"total_transcriber_stopped", "Total number of stopped transcriptions.", true, func(s *Stats) float64 { return float64(s.Transcriber.Stopped) }},
	{"total_transcriber_failed", "Total number of failed transcriptions.", true, func(s *Stats) float64 { return float64(s.Transcriber.Failed) }},
	{"total_transcriber_connection_errors", "Total number of transcriber connection errors.", true, func(s *Stats) float64 { return float64(s.Transcriber.ConnectionErrors) }},
	{"total_transcriber_connection_retries", "Total number of transcriber connection retries.", true, func(s *Stats) float64 { return float64(s.Transcriber.ConnectionRetries) }},
	{"total_transcriber_no_result_errors", "Total number of transcriber no result errors.", true, func(s *Stats) float64 { return float64(s.Transcriber.NoResultErrors) }},
	{"total_transcriber_send_errors", "Total number of transcriber send errors.", true, func(s *Stats) float64 { return float64(s.Transcriber.SendErrors) }},
	{"total_transcriber_session_creation_errors", "Total number of transcriber session creation errors.", true, func(s *Stats) float64 { return float64(s.Transcriber.SessionCreationErrors) }},
	{"total_transcriber_g_requests", "Total number of transcriber requests.", true, func(s *Stats) float64 { return float64(s.Transcriber.GoogleRequests) }},
	{"total_transcriber_g_minutes", "Total number of minute intervals.", false, func(s *Stats) float64 { return float64(s.Transcriber.GoogleMinutes) }},
	{"total_transcriber_ggl_millis", "Total number of milliseconds sent to Google's API.", false, func(s *Stats) float64 { return float64(s.Transcriber.GoogleMillis) }},
	{"total_transcriber_oci_millis", "Total number of milliseconds sent to OCI API.", false, func(s *Stats) float64 { return float64(s.Transcriber.OracleMillis) }},
	{"total_transcriber_wsp_millis", "Total number of milliseconds sent to Skynet Whisper.", false, func(s *Stats) float64 { return float64(s.Transcriber.WhisperMillis) }},
	{"total_transcriber_vsk_millis", "Total number of milliseconds sent to Vosk.", false, func(s *Stats) float64 { return float64(s.Transcriber.VoskMillis) }},
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
