# Run it with: PORT=5000 ruby sinatra_app.rb   (Debian: ruby-sinatra ruby-ed25519 ruby-webrick)
require 'base64'
require 'ed25519'
require 'json'
require 'sinatra'

KEY = Ed25519::VerifyKey.new(Base64.strict_decode64(ENV.fetch('TELNYX_PUBLIC_KEY').strip))

set :bind, '127.0.0.1'

# Telnyx signs the time, a bar, and the bytes of the body.
def genuine?(timestamp, signature, body)
  return false unless /\A\d+\z/.match?(timestamp) && (Time.now.to_i - timestamp.to_i).abs <= 300

  KEY.verify(Base64.strict_decode64(signature), "#{timestamp}|".b + body)
rescue ArgumentError, Ed25519::VerifyError # not base64, not 64 bytes; another signature
  false
end

post '/webhooks' do
  request.body.rewind if request.body.respond_to?(:rewind) # Sinatra has looked for a form in it
  body = request.body.read.b
  timestamp, signature = request.env.values_at('HTTP_TELNYX_TIMESTAMP', 'HTTP_TELNYX_SIGNATURE_ED25519').map(&:to_s)
  halt 401, "signature\n" unless genuine?(timestamp, signature, body)
  if request.media_type == 'application/json' # TeXML sends forms
    event = JSON.parse(body)['data'] || {}
    puts event['event_type']
  end
  "done\n" # when the effect is durable; an exception is a 500
end
