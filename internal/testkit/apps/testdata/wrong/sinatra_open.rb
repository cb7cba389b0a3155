# Nothing is verified.
require 'json'
require 'sinatra'

set :bind, '127.0.0.1'

post '/webhooks' do
  JSON.parse(request.body.read) if request.media_type == 'application/json'
  'done'
end
