"""Gate of a real browser: three.js in headless Chromium loads and draws every level.

gate       the gate: poses, findings, the entry of the list
page       one page that draws GLBs with three.js, driven from here
devtools   messages of the Chrome DevTools Protocol over a pair of pipes
chromium   the process: found, started, killed
"""
