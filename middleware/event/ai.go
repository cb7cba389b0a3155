package event

// Events of AI assistants beside those of calls.
var (
	// AssistantInitialization is a question: the body of the answer to the
	// webhook is JSON with the assistant's dynamic variables, and Telnyx
	// waits 1.5 seconds for it unless configured otherwise.
	AssistantInitialization = Define[AssistantInitializationPayload]("assistant.initialization")

	ConversationInsightResult     = Define[ConversationInsightResultPayload]("conversation_insight_result")         // sent without a "data" object
	ConversationInsightsCompleted = Define[ConversationInsightsCompletedPayload]("conversation.insights.completed") // sent without any envelope

	// In examples only; unverified.
	DynamicVariables           = Define[AssistantInitializationPayload]("dynamic_variables") // as assistant.initialization
	AIAssistantPostCallInsight = Define[AIAssistantPostCallInsightPayload]("ai_assistant.post_call_insight")
)

// AssistantInitializationPayload is the payload of [AssistantInitialization].
type AssistantInitializationPayload struct {
	AssistantID           string `json:"assistant_id"`
	CallControlID         string `json:"call_control_id"`                 // names the leg in commands
	Channel               string `json:"telnyx_conversation_channel"`     // phone_call, web_call, sms_chat, …
	AgentTarget           string `json:"telnyx_agent_target"`             // number or id that was called
	EndUserTarget         string `json:"telnyx_end_user_target"`          // who calls
	EndUserTargetVerified bool   `json:"telnyx_end_user_target_verified"` // the caller's number is attested
}

// ConversationInsightResultPayload is the payload of
// [ConversationInsightResult].
type ConversationInsightResultPayload struct {
	ConversationID       string               `json:"conversation_id"`
	RequestID            string               `json:"request_id"`
	UserID               string               `json:"user_id"`
	Status               string               `json:"status"` // such as completed
	InsightGroupID       string               `json:"insight_group_id"`
	InsightID            string               `json:"insight_id"`            // empty for a group
	InsightsInstructions Value                `json:"insights_instructions"` // null where seen
	Results              List[InsightResult]  `json:"results"`
	Metadata             ConversationMetadata `json:"metadata"`
}

// ConversationMetadata describes a conversation with an assistant. It has
// keys of your own beside these.
type ConversationMetadata struct {
	AssistantID        string       `json:"assistant_id"`
	AssistantVersionID string       `json:"assistant_version_id"`
	CallControlID      string       `json:"call_control_id"`
	CalledTools        List[string] `json:"called_tools"`                // names of tools that the assistant used
	Channel            string       `json:"telnyx_conversation_channel"` // phone_call, web_call, sms_chat, …
	AgentTarget        string       `json:"telnyx_agent_target"`         // number or id that was called
	EndUserTarget      string       `json:"telnyx_end_user_target"`      // who called
	From               Endpoint     `json:"from"`
	To                 Endpoint     `json:"to"`
}

// ConversationInsightsCompletedPayload is the payload of
// [ConversationInsightsCompleted].
type ConversationInsightsCompletedPayload struct {
	ConversationID   string              `json:"conversation_id"`
	InsightGroupID   string              `json:"insight_group_id"`
	InsightGroupName string              `json:"insight_group_name"`
	Insights         List[InsightResult] `json:"insights"`
}

// AIAssistantPostCallInsightPayload is the payload of
// [AIAssistantPostCallInsight].
type AIAssistantPostCallInsightPayload struct {
	AssistantID    string   `json:"assistant_id"`
	ConversationID string   `json:"conversation_id"`
	CallControlID  string   `json:"call_control_id"`
	CallSessionID  string   `json:"call_session_id"`
	From           Endpoint `json:"from"`
	To             Endpoint `json:"to"`
	Summary        string   `json:"summary"`
	Sentiment      string   `json:"sentiment"` // such as positive
	Intent         string   `json:"intent"`
}
