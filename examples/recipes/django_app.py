"""Run it with: python3 django_app.py runserver --noreload 127.0.0.1:5000"""

import json
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from telnyx_signature import genuine

if not settings.configured:  # a project has them in settings.py
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        SECRET_KEY="not used here",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    )


@csrf_exempt  # or a 403: Telnyx has no token
@require_POST
def webhooks(request):
    body = request.body  # what was signed; before request.POST
    if not genuine(request.headers, body):
        return HttpResponse("signature\n", status=401)
    if request.content_type == "application/json":  # TeXML sends forms
        event = json.loads(body).get("data") or {}
        print(event.get("event_type"))
    return HttpResponse("done\n")  # when the effect is durable; an exception is a 500


# As the URL is set: a path that ends with a slash makes Django redirect the one
# without, and a redirected POST is an error.
urlpatterns = [path("webhooks", webhooks)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
