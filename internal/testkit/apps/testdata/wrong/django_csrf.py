"""Nothing exempts the view from the protection against forged forms."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    DEBUG=True,
    SECRET_KEY="not used here",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
)
urlpatterns = [path("webhooks", lambda request: HttpResponse("done"))]
execute_from_command_line(sys.argv)
