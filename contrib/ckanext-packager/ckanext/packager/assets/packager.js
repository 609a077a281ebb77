/* Without this script all works as pages of their own. */

(function (ckan, jQuery) {
  'use strict'

  const HEADERS = { 'X-Requested-With': 'XMLHttpRequest' }
  const FIRST_PAUSE = 3000 // milliseconds between two looks at a job; each pause is half as long again
  const LONGEST_PAUSE = 30000

  // What is typed into the boxes of datatables_view, which stands in a frame of this page.
  function searched () {
    for (const frame of document.querySelectorAll('.resource-view iframe')) {
      let table
      try {
        const inner = frame.contentWindow.jQuery
        const element = inner('#dtprv')
        if (!element.length || !inner.fn.dataTable.isDataTable(element)) { continue }
        table = element.DataTable({ retrieve: true })
      } catch (error) {
        continue // a frame of another site, or one that has not loaded yet
      }
      const columns = {}
      table.columns().every(function () {
        const name = this.settings()[0].aoColumns[this.index()].name
        if (name && this.search()) { columns[name] = this.search() }
      })
      return { search: table.search(), columns: Object.keys(columns).length ? JSON.stringify(columns) : '' }
    }
    return {}
  }

  function address (href) {
    const url = new URL(href, window.location.href)
    for (const [name, value] of Object.entries(searched())) {
      if (value) { url.searchParams.set(name, value) }
    }
    return url.href
  }

  // The dialog: HTMLDialogElement keeps the focus inside, closes by Escape and gives the focus back.
  function Dialog (closeLabel) {
    const dialog = document.createElement('dialog')
    dialog.className = 'packager-dialog'
    dialog.setAttribute('aria-labelledby', 'packager-heading')
    const close = document.createElement('button')
    close.type = 'button'
    close.className = 'btn-close'
    close.setAttribute('aria-label', closeLabel)
    close.addEventListener('click', function () { dialog.close() })
    const content = document.createElement('div')
    dialog.append(close, content)
    dialog.addEventListener('close', function () { dialog.remove() })

    this.wait = function (words) {
      const line = document.createElement('p')
      line.id = 'packager-heading'
      line.setAttribute('role', 'status')
      line.textContent = words
      content.replaceChildren(line)
      document.body.append(dialog)
      dialog.showModal()
    }

    this.isOpen = function () { return dialog.open }

    this.show = function (html) {
      content.innerHTML = html
      for (const element of content.querySelectorAll('[data-module]')) { ckan.module.initializeElement(element) }
      const first = content.querySelector('[aria-invalid="true"]') || content.querySelector('#packager-heading')
      if (first) { first.focus() }
    }

    content.addEventListener('submit', async function (event) {
      const form = event.target
      event.preventDefault()
      if (form.getAttribute('aria-busy')) { return }
      if (event.submitter && event.submitter.name) { // which condition to remove, say
        const pressed = document.createElement('input')
        pressed.type = 'hidden'
        pressed.name = event.submitter.name
        pressed.value = event.submitter.value
        form.append(pressed)
      }
      const data = new FormData(form)
      form.setAttribute('aria-busy', 'true')
      try {
        this.show(await html(form.action, { method: 'POST', body: data }))
      } catch (error) {
        if (error.url) { // what was sent has led somewhere else: to the page for logging in, say
          window.location.assign(error.url)
        } else if (error.status) {
          HTMLFormElement.prototype.submit.call(form) // the page itself then says what is wrong
        } else {
          form.removeAttribute('aria-busy')
          tell(form)
        }
      }
    }.bind(this))
  }

  // The portal did not answer: say so in the form, which stays as it is.
  function tell (form) {
    form.querySelectorAll('[name=remove][type=hidden], .packager-lost').forEach(function (old) { old.remove() })
    const line = document.createElement('p')
    line.className = 'alert alert-danger packager-lost'
    line.setAttribute('role', 'alert')
    line.textContent = form.dataset.lost
    form.append(line)
  }

  async function html (url, options) {
    const response = await fetch(url, Object.assign({ headers: HEADERS, credentials: 'same-origin' }, options))
    const text = await response.text()
    // Anything else, such as the page for logging in, is no part that a dialog can show.
    if (!/^\s*(<!--[^]*?-->\s*)*<(form|div) class="packager-(form|job)"/.test(text)) {
      const error = new Error('not a part of a page')
      error.status = response.status
      error.url = response.redirected ? response.url : ''
      throw error
    }
    return text
  }

  ckan.module('packager-request', function () {
    return {
      initialize: function () {
        const link = this.el[0]
        const closeLabel = link.dataset.moduleClose
        link.setAttribute('aria-haspopup', 'dialog')
        link.addEventListener('click', async function (event) {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) { return }
          event.preventDefault()
          const url = address(link.href)
          if (!window.HTMLDialogElement) {
            window.location.assign(url)
            return
          }
          const dialog = new Dialog(closeLabel)
          dialog.wait(link.dataset.moduleWait) // counting the rows of a large table may take seconds
          try {
            const form = await html(url)
            if (dialog.isOpen()) { dialog.show(form) }
          } catch (error) {
            window.location.assign(url)
          }
        })
      }
    }
  })

  ckan.module('packager-job', function () {
    return {
      initialize: function () {
        const box = this.el[0]
        let url = box.dataset.moduleUrl
        let pause = FIRST_PAUSE

        function later () {
          window.setTimeout(look, pause)
          pause = Math.min(pause * 1.5, LONGEST_PAUSE)
        }

        async function look () {
          if (!box.isConnected) { return }
          try {
            const page = new DOMParser().parseFromString(await html(url), 'text/html')
            const fresh = page.querySelector('.packager-job')
            url = fresh.dataset.moduleUrl // none any more when there is nothing to wait for
            for (const part of ['.packager-state', '.packager-links', '.packager-hint']) {
              const old = box.querySelector(part)
              const now = fresh.querySelector(part)
              if (old.innerHTML !== now.innerHTML) { old.innerHTML = now.innerHTML }
            }
          } catch (error) {
            // the next look may find it again
          }
          if (url) { later() }
        }

        later()
      }
    }
  })
})(this.ckan, this.jQuery)
