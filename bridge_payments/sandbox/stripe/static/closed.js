// Tells the page that framed the challenge that it is answered; the outcome is read at the gateway, not here.
"use strict";
if (window.parent !== window) window.parent.postMessage("challenge-answered", "*");
